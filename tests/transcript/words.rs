//! A command line as a shell would take it apart: quotes, pipes, and variables before the first word.

/// Variables and arguments of one command.
pub type Command = (Vec<(String, String)>, Vec<String>);

/// The commands of a pipeline.
pub fn pipeline(line: &str) -> Vec<Command> {
    let mut commands = vec![Vec::new()];
    for word in words(line) {
        match word {
            Word::Pipe => commands.push(Vec::new()),
            Word::Text(text) => commands.last_mut().unwrap().push(text),
        }
    }
    commands.into_iter().map(split_variables).collect()
}

#[derive(Debug, PartialEq)]
enum Word {
    Text(String),
    Pipe,
}

fn words(line: &str) -> Vec<Word> {
    let (mut all, mut word, mut quote): (Vec<Word>, Option<String>, Option<char>) = (Vec::new(), None, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                word.get_or_insert_default();
                quote = Some(c);
            }
            (None, ' ') => all.extend(word.take().map(Word::Text)),
            (None, '|') if word.is_none() => all.push(Word::Pipe),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    all.extend(word.map(Word::Text));
    all
}

fn split_variables(words: Vec<String>) -> Command {
    let is_variable = |word: &String| {
        word.split_once('=')
            .is_some_and(|(name, _)| !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
    };
    let count = words.iter().take_while(|word| is_variable(word)).count();
    let variables = words[..count].iter().filter_map(|word| word.split_once('='));
    (variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(), words[count..].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart_as_a_shell_does() {
        let plain = |words: &[&str]| (Vec::new(), words.iter().map(|&w| w.to_owned()).collect::<Vec<String>>());
        for (line, expected) in [
            ("get ws", vec![plain(&["get", "ws"])]),
            ("get  -o 'a b' \"\"", vec![plain(&["get", "-o", "a b", ""])]),
            (
                "get -o jsonpath='{.a}' | apply -f -",
                vec![plain(&["get", "-o", "jsonpath={.a}"]), plain(&["apply", "-f", "-"])],
            ),
            ("get '|' a|b", vec![plain(&["get", "|", "a|b"])]),
        ] {
            assert_eq!(pipeline(line), expected, "{line}");
        }
        let (variables, arguments) = pipeline("EDITOR='sed -i x' edit a=b").remove(0);
        assert_eq!(variables, [("EDITOR".to_owned(), "sed -i x".to_owned())]);
        assert_eq!(arguments, ["edit", "a=b"]);
    }
}
