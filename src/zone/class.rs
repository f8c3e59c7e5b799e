//! Classes in master files. Only `IN` is served (RFC 1035 section 3.2.4); other classes are errors.

use super::scanner::{ScanFault, Token};

/// Whether this is the class `IN`; another class is refused.
pub fn is_class(word: Token<'_>) -> Result<bool, ScanFault> {
    if word.text.eq_ignore_ascii_case(b"IN") || word.text.eq_ignore_ascii_case(b"CLASS1") {
        return Ok(true);
    }
    let others: [&[u8]; 4] = [b"CH", b"HS", b"CS", b"NONE"];
    let numbered = word
        .text
        .split_at_checked(5)
        .is_some_and(|(class, digits)| {
            class.eq_ignore_ascii_case(b"CLASS")
                && !digits.is_empty()
                && digits.iter().all(u8::is_ascii_digit)
        });
    let named = others
        .iter()
        .any(|class| word.text.eq_ignore_ascii_case(class));
    if numbered || named {
        return refuse_class(word);
    }
    Ok(false)
}

fn refuse_class(word: Token<'_>) -> Result<bool, ScanFault> {
    Err(word.fault(format!(
        "class {} is not served; only IN is",
        String::from_utf8_lossy(word.text)
    )))
}
