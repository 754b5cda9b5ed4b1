//! One name for one repository, whatever the transport.

use std::net::Ipv6Addr;

use super::{BadUrl, Place, Scheme};
use crate::model::repository::RepositoryScope;

pub(super) fn repository(place: &Place) -> Result<RepositoryScope, BadUrl> {
    let (mut host, port) = split_port(&place.host, place.scheme)?;
    // The root of the name system, written out.
    if host.ends_with('.') {
        host.pop();
    }
    let port = port.filter(|port| *port != place.scheme.port());
    let path = canonical_path(&in_home(place)?)?;
    Ok(RepositoryScope::new_remote(&host, port, &path, None)?)
}

/// Returns the host in canonical form, and the port if one was given.
///
/// Brackets hold an IPv6 address, and for ssh also a host with a port: `[host:22]:path`.
pub(super) fn split_port(host: &[u8], scheme: Scheme) -> Result<(String, Option<u16>), BadUrl> {
    let text = std::str::from_utf8(host).map_err(|_| BadUrl::Host)?;
    let Some(inner) = text.strip_prefix('[') else {
        return match text.split_once(':') {
            Some((host, port)) => Ok((host.to_ascii_lowercase(), number(port)?)),
            None => Ok((text.to_ascii_lowercase(), None)),
        };
    };
    let (inner, after) = inner.split_once(']').ok_or(BadUrl::Host)?;
    let outer = match after.strip_prefix(':') {
        Some(port) => number(port)?,
        None if after.is_empty() => None,
        None => return Err(BadUrl::Host),
    };
    if let Ok(address) = inner.parse::<Ipv6Addr>() {
        return Ok((format!("[{address}]"), outer));
    }
    let (host, inner) = match inner.split_once(':') {
        Some((host, port)) => (host, number(port)?),
        None => (inner, None),
    };
    if scheme != Scheme::Ssh || (inner.is_some() && outer.is_some()) {
        return Err(BadUrl::Host);
    }
    Ok((host.to_ascii_lowercase(), inner.or(outer)))
}

/// An empty port is none, as for git and curl.
fn number(port: &str) -> Result<Option<u16>, BadUrl> {
    if port.is_empty() {
        return Ok(None);
    }
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(BadUrl::Port);
    }
    match port.parse() {
        Ok(0) | Err(_) => Err(BadUrl::Port),
        Ok(port) => Ok(Some(port)),
    }
}

/// Returns the path with the home directory that it is relative to, if any.
///
/// For ssh a path without a slash at its start is relative to the user's home. The user `git`, or
/// none, is how forges are reached, where that home holds the same repositories as
/// `https://HOST/`.
fn in_home(place: &Place) -> Result<Vec<u8>, BadUrl> {
    let path = place.path.as_slice();
    let user = place.user.as_deref();
    match place.scheme {
        Scheme::Http | Scheme::Https => return Ok(path.to_vec()),
        Scheme::Git if user.is_some() => return Err(BadUrl::User),
        _ if path == b"~" => return Err(BadUrl::Home),
        Scheme::Git if path.starts_with(b"~/") => return Err(BadUrl::Home),
        Scheme::Git => return Ok(path.to_vec()),
        Scheme::Ssh => {}
    }
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-+".contains(byte);
    if user.is_some_and(|user| user.is_empty() || !user.iter().all(plain)) {
        return Err(BadUrl::User);
    }
    let relative = match path.strip_prefix(b"~/") {
        Some(relative) => relative,
        None if path.starts_with(b"/") || path.starts_with(b"~") => return Ok(path.to_vec()),
        None => path,
    };
    Ok(match user {
        None | Some(b"git") => relative.to_vec(),
        Some(user) => [b"~", user, b"/", relative].concat(),
    })
}

/// Brings a decoded path to the form in which one repository has one name: no slashes at the ends,
/// none repeated, and no `.git` at the end.
fn canonical_path(path: &[u8]) -> Result<Vec<u8>, BadUrl> {
    let mut components: Vec<&[u8]> = path
        .split(|byte| *byte == b'/')
        .filter(|component| !component.is_empty())
        .collect();
    if components.last() == Some(&b".git".as_slice()) {
        components.pop();
    }
    if let Some(last) = components.last_mut() {
        *last = last.strip_suffix(b".git").unwrap_or(last);
        if last.is_empty() {
            return Err(BadUrl::Path);
        }
    }
    Ok(components.join(&b'/'))
}
