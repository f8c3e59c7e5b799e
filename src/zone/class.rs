//! Classes in master files. Only `IN` is served (RFC 1035 section 3.2.4); other classes are errors.

use super::scanner::{ScanFault, Token};

/// Whether this is the class `IN`; another class is refused.
pub fn is_class(word: Token<'_>) -> Result<bool, ScanFault> {
    if word.text.eq_ignore_ascii_case(b"IN") || word.text.eq_ignore_ascii_case(b"CLASS1") {
        return Ok(true);
    }
    let others: [&[u8]; 4] = [b"CH", b"HS", b"CS", b"NONE"];
    let mut others = others.iter();
    if is_numbered(word.text) || others.any(|class| word.text.eq_ignore_ascii_case(class)) {
        return refuse_class(word);
    }
    Ok(false)
}

/// `CLASS` and a number (RFC 3597 section 5).
fn is_numbered(word: &[u8]) -> bool {
    let Some((class, digits)) = word.split_at_checked(5) else {
        return false;
    };
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number && class.eq_ignore_ascii_case(b"CLASS")
}

fn refuse_class(word: Token<'_>) -> Result<bool, ScanFault> {
    Err(word.fault(format!(
        "class {} is not served; only IN is",
        String::from_utf8_lossy(word.text)
    )))
}
