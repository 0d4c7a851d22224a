//! Any value at all, for the property tests of what prints and what reads.

use proptest::prelude::*;
use serde_json::Value;

/// A value with texts, and keys, of any Unicode, and with what means something to YAML, JSON and terminals more often
/// than by chance.
pub fn any_value() -> impl Strategy<Value = Value> {
    // The characters that mean something to YAML, often, and any other.
    let text = prop_oneof![
        "[-?:,#&*!|>'\"%@`{}\\[\\] \n\t\r0-9a-f.+~=<_eExXoOTZ]{0,12}",
        any::<String>(),
        // What a terminal may obey, and what YAML takes for a line break or a mark.
        "[a\\x00-\\x1f\\x7f-\\xa0\u{2028}\u{2029}\u{feff}]{0,6}",
        "[0-9:._+\\-TZeE ]{1,20}",
        "[\n a]{0,8}",
        "\\PC{0,300}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9_f64).prop_filter("a whole number comes back as one", |f| f.fract() != 0.0).prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(text.clone(), inner, 0..6).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}
