//! Names of objects that are made for a service of a stack: the same for the same thing, whoever makes them.

use super::WicapStack;
use crate::api::Object;

/// The longest name an object may have.
const LONGEST_NAME: usize = 253;

/// `{stack}-{service}-{what}-{uid}-{number}`; a service without a name is the stack as a whole.
pub(crate) fn named(stack: &WicapStack, service: &str, what: &str, number: &str) -> String {
    let clean = |text: &str| -> String {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        text.to_lowercase().chars().map(|c| if allowed(c) { c } else { '-' }).collect()
    };
    // Compose's longest service name that validation lets through; a longer one is cut and told apart by its hash.
    let of: String = if service.is_empty() { "stack".into() } else { clean(service).chars().take(63).collect() };
    let uid: String = stack.metadata.uid.as_deref().map(clean).unwrap_or_default().chars().take(5).collect();
    let uid = if uid.is_empty() { "00000".to_owned() } else { uid };
    let mut tail = format!("-{of}-{}-{uid}-{number}", clean(what));
    let head = clean(stack.name());
    if head != stack.name() || (of != service && !service.is_empty()) || service == "stack" {
        tail.push_str(&format!("-{:04x}", fnv1a([service.as_bytes()]) & 0xffff));
    }
    let mut head: String = head.chars().take(LONGEST_NAME.saturating_sub(tail.len())).collect();
    head.truncate(head.trim_end_matches('-').len());
    format!("{head}{tail}").trim_start_matches('-').to_owned()
}

/// FNV-1a, 64 bits, over the parts one after the other (<http://www.isthe.com/chongo/tech/comp/fnv/>).
pub(crate) fn fnv1a<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let bytes = parts.into_iter().flatten();
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
