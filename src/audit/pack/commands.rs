//! The command of a container, which the engine tells in two fields: what is secret in the one shows by the program in the other.

use serde_json::Value;

use crate::audit::redact::REDACTED;

/// The program and its arguments: what runs, and what the image or the service asked for.
const SPLIT: [(&str, &str); 2] = [("/Path", "/Args"), ("/Config/Entrypoint", "/Config/Cmd")];

/// Redacts each of a container's commands as a whole.
pub(super) fn redact_commands(inspect: &mut Value, redact: impl Fn(&str) -> String) {
    for (program, arguments) in SPLIT {
        let first = words(inspect.pointer(program));
        let whole = [first.clone(), words(inspect.pointer(arguments))].concat();
        let text = Value::from(whole.clone()).to_string();
        let clean = redact(&text);
        if clean == text {
            continue;
        }
        let read = serde_json::from_str::<Vec<String>>(&clean).ok().filter(|read| read.len() == whole.len());
        // Whoever broke the list took out more than one word of it.
        let mut read = read.unwrap_or_else(|| vec![REDACTED.to_owned(); whole.len()]);
        let rest = read.split_off(first.len());
        for (at, words) in [(program, read), (arguments, rest)] {
            match inspect.pointer_mut(at) {
                Some(Value::String(text)) => *text = words.concat(),
                Some(list @ Value::Array(_)) => *list = words.into(),
                _ => {}
            }
        }
    }
}

fn words(field: Option<&Value>) -> Vec<String> {
    match field {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(items)) => items.iter().map(|item| item.as_str().unwrap_or_default().to_owned()).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::audit::redact::redact;

    #[test]
    fn a_secret_whose_program_is_in_another_field_is_taken_out() {
        let mut inspect = json!({
            "Path": "/usr/bin/redis-cli", "Args": ["-a", "hunter2x", "ping"],
            "Config": {"Entrypoint": ["sqlcmd", "-U", "sa"], "Cmd": ["-P", "hunter3x"]},
        });
        redact_commands(&mut inspect, |text| redact(text).into_owned());
        let expected = json!({
            "Path": "/usr/bin/redis-cli", "Args": ["-a", "[redacted]", "ping"],
            "Config": {"Entrypoint": ["sqlcmd", "-U", "sa"], "Cmd": ["-P", "[redacted]"]},
        });
        assert_eq!(inspect, expected);
    }

    #[test]
    fn what_has_no_secret_stays_as_it_is() {
        for inspect in [
            json!({"Path": "redis-server", "Args": ["--port", "6379"], "Config": {"Entrypoint": null, "Cmd": ["redis-server"]}}),
            json!({}),
            json!(null),
        ] {
            let mut same = inspect.clone();
            redact_commands(&mut same, |text| redact(text).into_owned());
            assert_eq!(same, inspect);
        }
    }

    #[test]
    fn a_command_whose_list_comes_back_broken_is_taken_out_whole() {
        let mut inspect = json!({"Path": "a", "Args": ["b", "c"]});
        redact_commands(&mut inspect, |_| "[\"a\"]".to_owned());
        assert_eq!(inspect, json!({"Path": "[redacted]", "Args": ["[redacted]", "[redacted]"]}));
    }
}
