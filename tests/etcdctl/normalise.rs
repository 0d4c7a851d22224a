//! What two stores must be allowed to say differently about the same history, and nothing else.
//!
//! What a store chose itself (ids of cluster, member and leases; its endpoint and directory) is replaced by a name where
//! exactly that value stands. What grows with time or is counted otherwise inside is blanked by the field it stands in.

use std::sync::LazyLock;

use regex::Regex;

/// What one store chose, in the order of its appearance; the same place in both lists is the same thing.
#[derive(Clone, Default)]
pub struct Chosen {
    texts: Vec<(String, String)>,
    ids: Vec<(u64, String)>,
    leases: Vec<u64>,
}

/// Fields that may differ, with the one form that is kept: their being there.
const BLANKED: &[(&str, &str)] = &[
    (r#""(raft_term|raftTerm|raftIndex|raftAppliedIndex|dbSize|dbSizeInUse)":[1-9]\d*"#, r#""$1":N"#),
    (r#""(RaftTerm|RaftIndex|RaftAppliedIndex|DBSize)" : [1-9]\d*"#, r#""$1" : N"#),
    // The line of `endpoint status`: size, leader, learner, then term, index and applied index.
    (
        r"(?m)^(ENDPOINT, MEMBER, [\w.]+), [\d.]+ [kMG]?B, (true|false), (true|false), [1-9]\d*, [1-9]\d*, [1-9]\d*, ",
        "$1, SIZE, $2, $3, N, N, N, ",
    ),
    // A patch release more or less is no difference of behaviour.
    (r#"("version":|"Version" : )"(\d+\.\d+)\.\d+""#, r#"$1"$2""#),
    (r"(?m)^(ENDPOINT, MEMBER, \d+\.\d+)\.\d+, ", "$1, "),
    (r"took = [\d.]+[mµn]?s", "took = TIME"),
    (r#""took":"[\d.]+[mµn]?s""#, r#""took":"TIME""#),
    (r#""Took" : [\d.]+[mµn]?s"#, r#""Took" : TIME"#),
    (r"remaining\(\d+s\)", "remaining(TIME)"),
    (r#""ttl":\d+,"granted-ttl""#, r#""ttl":TIME,"granted-ttl""#),
    (r#""TTL" : \d+\n"GrantedTTL""#, "\"TTL\" : TIME\n\"GrantedTTL\""),
    // Where members would speak to each other; an embedded store has nobody to speak to.
    (r#""peerURLs":\["[^"]+"\]"#, r#""peerURLs":["PEER"]"#),
    (r#""PeerURL" : "[^"]+""#, r#""PeerURL" : "PEER""#),
    (r"(?m)^(MEMBER, started, \w+), (?:[a-z]+://[^,]+|ENDPOINT), ", "$1, PEER, "),
];

static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| compiled(BLANKED));

impl Chosen {
    /// A text that this store alone has, such as its address.
    pub fn text(&mut self, text: &str, name: &str) {
        self.texts.push((text.to_owned(), name.to_owned()));
        self.texts.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
    }

    /// An id of its own: of the cluster, or of the member.
    pub fn id(&mut self, id: u64, name: &str) {
        self.ids.push((id, name.to_owned()));
    }

    /// Takes the ids of leases that it chose out of what it said: in the answer to a grant, and in the keys of locks and
    /// candidates, which end in one.
    pub fn learn_leases(&mut self, said: &str) {
        static LEASE: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r#"(?m)(?:^lease ([0-9a-f]{16}) granted|(?:^|" : ")\w+/([0-9a-f]{6,16})"?$)"#).unwrap()
        });
        for found in LEASE.captures_iter(said) {
            let id = found.get(1).or_else(|| found.get(2)).unwrap().as_str();
            let id = u64::from_str_radix(id, 16).unwrap();
            if !self.leases.contains(&id) {
                self.leases.push(id);
            }
        }
    }

    /// The lease of that number, from 1, as etcdctl takes it.
    pub fn lease(&self, number: usize) -> String {
        format!("{:x}", self.leases.get(number - 1).unwrap_or_else(|| panic!("no lease {number} was granted")))
    }

    /// The same text as another store would have said it.
    pub fn normalise(&self, said: &str) -> String {
        let mut said: String = said.lines().filter_map(log_line).map(|line| line + "\n").collect();
        for (text, name) in &self.texts {
            said = said.replace(text.as_str(), name);
        }
        let leases = self.leases.iter().enumerate().map(|(i, id)| (*id, format!("LEASE-{}", i + 1)));
        for (id, name) in self.ids.iter().cloned().chain(leases) {
            said = said
                .replace(&format!("{id:016x}"), &name)
                .replace(&format!("{id:x}"), &name)
                .replace(&id.to_string(), &name);
        }
        sort_attached_keys(apply(&RULES, said))
    }
}

/// The keys of a lease, which etcd keeps in no order.
fn sort_attached_keys(said: String) -> String {
    static KEYS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"(attached keys\(|"keys":)\[([^\]]*)\]"#).unwrap());
    let sorted = KEYS.replace_all(&said, |found: &regex::Captures<'_>| {
        let mut keys: Vec<&str> = found[2].split([' ', ',']).collect();
        keys.sort_unstable();
        format!("{}[{}]", &found[1], keys.join(" "))
    });
    sorted.into_owned()
}

/// A line of etcdctl's own log: without when, to whom and how much; anything else as it is. Whether one that is told to end is in
/// the middle of a request, and warns that it gave it up itself, is chance.
fn log_line(line: &str) -> Option<String> {
    match serde_json::from_str::<serde_json::Value>(line) {
        Ok(serde_json::Value::Object(mut fields)) if fields.contains_key("level") => {
            let gave_up =
                fields.get("error").and_then(|e| e.as_str()).is_some_and(|e| e.ends_with("desc = context canceled"));
            fields.retain(|field, _| !["ts", "target", "took", "size"].contains(&field.as_str()));
            (!gave_up).then(|| serde_json::Value::Object(fields).to_string())
        }
        _ => Some(line.to_owned()),
    }
}

/// Also without the hash of a history and the size of its file, for a store that encodes it in its own way.
pub fn blank_encoding(said: &str) -> String {
    const FORMS: &[(&str, &str)] = &[
        (r#""(hash|totalSize)":\d+"#, r#""$1":N"#),
        (r#""(Hash|Size)" : \d+"#, r#""$1" : N"#),
        (r"(?m)^ENDPOINT, \d+$", "ENDPOINT, HASH"),
        (r"(?m)^[0-9a-f]{1,8}, (\d+, \d+), [\d.]+ [kMG]?B$", "HASH, $1, SIZE"),
    ];
    static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| compiled(FORMS));
    apply(&RULES, said.to_owned())
}

/// Also without any number, and without the bar that shows how far it is, for what was measured.
pub fn blank_measures(said: &str) -> String {
    // What etcdctl says next may come before the bar has ended its line.
    static BAR: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\r *\d+ / \d+[^%\r\n]*%( *\d+m\d+s)?").unwrap());
    static NUMBER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\d+(\.\d+)?").unwrap());
    let said = BAR.replace_all(said, "");
    let lines = said.lines().filter(|line| !line.is_empty());
    lines.map(|line| NUMBER.replace_all(line, "N").into_owned() + "\n").collect()
}

fn compiled(forms: &'static [(&str, &str)]) -> Vec<(Regex, &'static str)> {
    forms.iter().map(|(rule, form)| (Regex::new(rule).unwrap(), *form)).collect()
}

fn apply(rules: &[(Regex, &str)], said: String) -> String {
    rules.iter().fold(said, |said, (rule, form)| rule.replace_all(&said, *form).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen() -> Chosen {
        let mut chosen = Chosen::default();
        chosen.text("unix:///tmp/x/store.sock", "ENDPOINT");
        chosen.id(0x8be2_8dc9_a282_8482, "MEMBER");
        chosen.learn_leases("lease 2844a20544d0b30a granted with TTL(100s)\n");
        chosen
    }

    #[test]
    fn what_a_store_chose_gets_a_name_wherever_it_stands() {
        for (said, expected) in [
            (
                "unix:///tmp/x/store.sock is healthy: successfully committed proposal: took = 1.82ms",
                "ENDPOINT is healthy: successfully committed proposal: took = TIME\n",
            ),
            (
                r#"{"member_id":10079774813162996866,"revision":2,"raft_term":2}"#,
                "{\"member_id\":MEMBER,\"revision\":2,\"raft_term\":N}\n",
            ),
            ("l/2844a20544d0b30a", "l/LEASE-1\n"),
            ("\"Lease\" : 2901622203446506250", "\"Lease\" : LEASE-1\n"),
            (
                "unix:///tmp/x/store.sock, 8be28dc9a2828482, 3.5.16, 20 kB, true, false, 2, 25, 25, ",
                "ENDPOINT, MEMBER, 3.5, SIZE, true, false, N, N, N, \n",
            ),
            (
                r#"{"level":"warn","ts":"2026","target":"x","error":"rpc error: code = NotFound"}"#,
                "{\"error\":\"rpc error: code = NotFound\",\"level\":\"warn\"}\n",
            ),
        ] {
            assert_eq!(chosen().normalise(said), expected);
        }
    }

    #[test]
    fn that_a_command_gave_up_a_request_when_it_was_told_to_end_says_nothing_of_a_store() {
        let line = |error: &str| format!("{{\"level\":\"warn\",\"ts\":1,\"error\":\"rpc error: code = {error}\"}}\n");
        let chosen = Chosen::default();
        assert_eq!(chosen.normalise(&("a\n".to_owned() + &line("Canceled desc = context canceled"))), "a\n");
        assert_ne!(chosen.normalise(&line("Unavailable desc = the peer is gone")), "");
    }

    #[test]
    fn what_must_not_differ_still_differs() {
        let chosen = chosen();
        for (one, other) in [
            (r#"{"revision":2,"raft_term":2}"#, r#"{"revision":3,"raft_term":2}"#),
            (r#"{"revision":2,"raft_term":2}"#, r#"{"revision":2}"#),
            (r#""raftIndex":4"#, r#""raftIndex":0"#),
            (r#"{"member_id":10079774813162996866}"#, r#"{"member_id":1}"#),
            ("l/2844a20544d0b30a", "l/2844a20544d0b30b"),
            (r#""mod_revision":4"#, r#""mod_revision":5"#),
            (r#""version":1"#, r#""version":2"#),
            (r#""version":"3.5.1""#, r#""version":"3.4.1""#),
            (r#""granted-ttl":100"#, r#""granted-ttl":99"#),
            (r#""TTL" : 100"#, r#""TTL" : 99"#),
            ("k\nv", "k\nw"),
            ("a\n", "a\n\n"),
            (r#""peerURLs":["http://a"]"#, r#""peerURLs":[]"#),
            (r#"{"level":"warn","error":"code = NotFound"}"#, r#"{"level":"warn","error":"code = Unknown"}"#),
            (
                "x, 8be28dc9a2828482, 3.5.16, 20 kB, true, false, 2, 25, 25, ",
                "x, 8be28dc9a2828482, 3.5.16, 20 kB, false, false, 2, 25, 25, ",
            ),
        ] {
            assert_ne!(chosen.normalise(one), chosen.normalise(other));
        }
    }

    #[test]
    fn what_was_measured_is_blanked_and_what_it_means_is_not() {
        let said = "\r 59 / 60 Booooo   98.33%\r 60 / 60 Booooo!  100.00% 1m0s\nPASS: Throughput is 150 writes/s\nPASS\n";
        assert_eq!(blank_measures(said), "PASS: Throughput is N writes/s\nPASS\n");
        let joined = "\r 59 / 60   98.33%\r 60 / 60  100.00% 1m0sCompacting with revision 9002\nPASS\n\n";
        assert_eq!(blank_measures(joined), "Compacting with revision N\nPASS\n");
        assert_ne!(blank_measures("PASS: Stddev is 0.1s"), blank_measures("FAIL: Stddev is 0.1s"));
    }

    #[test]
    fn a_hash_is_blanked_and_what_stands_beside_it_is_not() {
        assert_eq!(blank_encoding("ENDPOINT, 3044148217\n"), "ENDPOINT, HASH\n");
        assert_eq!(blank_encoding(r#""hash":12,"compact_revision":2"#), r#""hash":N,"compact_revision":2"#);
        assert_eq!(blank_encoding("dc1eb7f9, 158, 174, 328 kB"), "HASH, 158, 174, SIZE");
    }
}
