/// Returns bytes for JSON without loss: a string where they are UTF-8, else `{"base64": "..."}`.
pub(crate) fn bytes(bytes: &[u8]) -> serde_json::Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => serde_json::json!({ "base64": data_encoding::BASE64.encode(bytes) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arg_26_bytes_that_are_no_text_are_kept_whole() {
        assert_eq!(bytes(b"a\nb"), serde_json::json!("a\nb"));
        assert_eq!(bytes(b"a\xff"), serde_json::json!({ "base64": "Yf8=" }));
    }
}
