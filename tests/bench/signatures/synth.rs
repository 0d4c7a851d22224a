//! Makes up lines from patterns such as `Served block {n} to {ip}`.

use crate::data::Labelled;

/// Numbers that look like chance and are the same in every run (xorshift of Marsaglia with a multiplication).
pub struct Dice(u64);

impl Dice {
    /// Dice with a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `end`, which is at least 1.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % end.max(1)
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        let at = usize::try_from(self.below(list.len() as u64)).unwrap_or(0);
        list.get(at).copied().unwrap_or_default()
    }

    fn letters(&mut self, alphabet: &[u8], count: u64) -> String {
        (0..count).map(|_| char::from(alphabet[usize::try_from(self.below(alphabet.len() as u64)).unwrap_or(0)])).collect()
    }
}

/// Lines of a set. Frequent patterns come first: the share of a pattern falls with its place in the list.
pub fn make(name: &str, seed: u64, patterns: &[&str]) -> Labelled {
    let mut dice = Dice::new(seed);
    let mut set = Labelled { name: name.into(), lines: Vec::new(), truth: Vec::new() };
    let shares: Vec<u64> = (0..patterns.len()).map(|place| 10_000 / (place as u64 + 2)).collect();
    let all: u64 = shares.iter().sum();
    while set.lines.len() < 2_000 {
        let mut at = dice.below(all);
        let mut place = 0;
        while at >= shares[place] {
            at -= shares[place];
            place += 1;
        }
        set.lines.push(fill(patterns[place], &mut dice));
        set.truth.push(place as u64);
    }
    set
}

fn fill(pattern: &str, dice: &mut Dice) -> String {
    let mut line = String::new();
    let mut rest = pattern;
    while let Some((before, behind)) = rest.split_once('«') {
        line.push_str(before);
        let Some((name, behind)) = behind.split_once('»') else { break };
        line.push_str(&value(name, dice));
        rest = behind;
    }
    line.push_str(rest);
    line
}

const HEX: &[u8] = b"0123456789abcdef";
const SMALL: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const USERS: &[&str] = &[
    "root",
    "admin",
    "guest",
    "test",
    "oracle",
    "webmaster",
    "pgadmin",
    "support",
    "nagios",
    "ftpuser",
    "alice",
    "mysql",
    "git",
    "ubuntu",
    "pi",
    "user",
    "inspur",
    "matlab",
    "zhangyan",
    "magnos",
    "utsims",
    "chen",
    "fztu",
];
const HOSTS: &[&str] = &[
    "proxy.example.edu",
    "ns.marry.com",
    "www.google-analytics.com",
    "host.de",
    "cdn.static.net",
    "mail.x.org",
    "static-ip.example.co",
    "localhost",
    "safebrowsing.clients.org",
    "clients.example.com",
    "a.b.c.d.example",
];
const CLASSES: &[&str] = &[
    "org.apache.hadoop.mapreduce.v2.app.Job",
    "org.apache.hadoop.yarn.event.Dispatcher",
    "com.example.ui.MainActivity",
    "org.apache.hadoop.mapred.MapTask$MapOutputBuffer",
    "android.app.Service",
    "com.tencent.qt.qtl",
    "a.b.C",
];

/// A value of a kind. `a|b|c` is one of the texts.
fn value(kind: &str, dice: &mut Dice) -> String {
    match kind {
        "n" => {
            let size = dice.below(9) + 1;
            dice.below(10_u64.pow(u32::try_from(size).unwrap_or(1))).to_string()
        }
        "d" => dice.below(10).to_string(),
        "f" => format!("{}.{}", dice.below(500), dice.below(1000)),
        "neg" => format!("-{}", dice.below(100)),
        "ip" => format!("{}.{}.{}.{}", 10 + dice.below(200), dice.below(256), dice.below(256), dice.below(256)),
        "port" => (1024 + dice.below(60_000)).to_string(),
        "hex" => format!("0x{}", dice.letters(HEX, 8)),
        "h8" => dice.letters(HEX, 8),
        "h16" => dice.letters(HEX, 16),
        "user" => dice.pick(USERS).into(),
        "host" => dice.pick(HOSTS).into(),
        "class" => dice.pick(CLASSES).into(),
        "path" => (0..=dice.below(4)).map(|_| ["/", dice.pick(USERS)].concat()).collect::<Vec<_>>().concat(),
        "word" => dice.letters(SMALL, 5),
        "bool" => dice.pick(&["true", "false"]).into(),
        _ if kind.contains('|') => {
            let choices: Vec<&str> = kind.split('|').collect();
            dice.pick(&choices).into()
        }
        _ => compound(kind, dice),
    }
}

/// A value made of several parts.
fn compound(kind: &str, dice: &mut Dice) -> String {
    match kind {
        "uuid" => {
            let part = |dice: &mut Dice, size| dice.letters(HEX, size);
            let parts = [part(dice, 8), part(dice, 4), part(dice, 4), part(dice, 4), part(dice, 12)];
            parts.join("-")
        }
        "mac" => (0..6).map(|_| dice.letters(HEX, 2)).collect::<Vec<_>>().join(":"),
        "date" => format!(
            "{} {} {:02} {:02}:{:02}:{:02} 2005",
            dice.pick(&["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]),
            dice.pick(&["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]),
            dice.below(28) + 1,
            dice.below(24),
            dice.below(60),
            dice.below(60)
        ),
        "size" => format!("{}.{} {}", dice.below(900), dice.below(10), dice.pick(&["B", "KB", "MB", "GB"])),
        "time" => match dice.below(3) {
            0 => "<1 sec".into(),
            1 => format!("{:02}:{:02}", dice.below(60), dice.below(60)),
            _ => format!("{}:{:02}:{:02}", dice.below(9), dice.below(60), dice.below(60)),
        },
        "rack" => format!(
            "R{:02}-M{}-N{:X}-C:J{:02}-U{:02}",
            dice.below(64),
            dice.below(2),
            dice.below(16),
            dice.below(18),
            1 + dice.below(11)
        ),
        "list" => (0..=dice.below(8)).map(|_| dice.below(10_000).to_string()).collect::<Vec<_>>().join(" "),
        "hexes" => (0..=dice.below(6)).map(|_| format!("@0x{}", dice.letters(HEX, 10))).collect::<Vec<_>>().join(" "),
        "nodes" => {
            let node = |dice: &mut Dice| format!("node-{} 0x{} <ok>", dice.below(256), dice.letters(HEX, 8));
            (0..=dice.below(5)).map(|_| node(dice)).collect::<Vec<_>>().join(" ")
        }
        "names" => (0..=dice.below(4)).map(|_| dice.pick(USERS)).collect::<Vec<_>>().join(","),
        _ => kind.into(),
    }
}
