//! Classes in master files. Only `IN` is served (RFC 1035 section 3.2.4); other classes are errors.

use super::scanner::{ScanFault, Token};

/// Whether this is the class `IN`; another class is refused.
pub fn is_class(word: Token<'_>) -> Result<bool, ScanFault> {
    let upper = word.text.to_ascii_uppercase();
    match &upper[..] {
        b"IN" | b"CLASS1" => Ok(true),
        b"CH" | b"HS" | b"CS" | b"NONE" => refuse_class(word),
        other => match other.strip_prefix(b"CLASS") {
            Some(digits) if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
                refuse_class(word)
            }
            _ => Ok(false),
        },
    }
}

fn refuse_class(word: Token<'_>) -> Result<bool, ScanFault> {
    Err(word.fault(format!(
        "class {} is not served; only IN is",
        String::from_utf8_lossy(word.text)
    )))
}
