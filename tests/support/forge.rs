//! Servers for git on the loopback interface. A listener is bound here first and handed over, so
//! that a port is never somebody else's and a server never not yet there.

mod daemon;
mod http;
mod ssh;

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

pub(crate) use daemon::Daemon;
pub(crate) use http::Http;
pub(crate) use ssh::Ssh;

fn bind() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A server that is started anew for each connection, with it as standard input and output.
#[derive(Debug)]
struct PerConnection {
    port: u16,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl PerConnection {
    fn start(mut server: Command) -> Self {
        let (listener, port) = bind();
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopped);
        let thread = std::thread::spawn(move || {
            let mut children: Vec<Child> = Vec::new();
            while let Ok((connection, _)) = listener.accept() {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                children.extend(serve(&mut server, connection));
            }
            for mut child in children {
                let _may_have_ended = child.kill();
                let _reaped = child.wait();
            }
        });
        Self {
            port,
            stopped,
            thread: Some(thread),
        }
    }
}

fn serve(server: &mut Command, connection: TcpStream) -> Option<Child> {
    let output = OwnedFd::from(connection.try_clone().ok()?);
    server
        .stdin(OwnedFd::from(connection))
        .stdout(output)
        .stderr(Stdio::null())
        .spawn()
        .ok()
}

impl Drop for PerConnection {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _wakes_the_listener = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}
