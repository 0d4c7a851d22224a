//! Signatures from the outside: what holds for any lines, and the formats that are recognised.

#[path = "signature/envelope_folding.rs"]
mod envelope_folding;
#[path = "signature/envelope_formats.rs"]
mod envelope_formats;
#[path = "signature/envelope_properties.rs"]
mod envelope_properties;
#[path = "signature/mine.rs"]
mod mine;
#[path = "signature/rates.rs"]
mod rates;
