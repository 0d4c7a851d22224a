use super::*;
use crate::api::Time;
use crate::soak::record::What;

fn event(n: u32) -> Record {
    Record { at: Time::from_second(i64::from(n)).unwrap(), what: What::Event { what: format!("number {n}") } }
}

fn filled(directory: &Path, count: u32) -> EvidenceStatus {
    let (mut journal, records) = Journal::open(directory, "u", None).unwrap();
    assert_eq!(records, []);
    for n in 0..count {
        journal.append(&[event(n)]).unwrap();
    }
    journal.status("here")
}

#[test]
fn what_was_appended_is_there_when_it_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let told = filled(directory.path(), 3);
    assert_eq!((told.records, told.file.as_str()), (3, "soaks/u/records.jsonl"));
    let (mut journal, records) = Journal::open(directory.path(), "u", Some(&told)).unwrap();
    assert_eq!(records, [event(0), event(1), event(2)]);
    assert_eq!(journal.status("here"), told);
    journal.append(&[event(3), event(4)]).unwrap();
    assert_eq!(read(directory.path(), &journal.status("here")).unwrap().len(), 5);
    assert_eq!(read(directory.path(), &told).unwrap(), records, "what was appended later is not in what was told");
}

#[test]
fn a_record_that_a_crash_cut_off_is_dropped_whole_at_every_byte() {
    let directory = tempfile::tempdir().unwrap();
    let told = filled(directory.path(), 3);
    let path = directory.path().join(&told.file);
    let whole = fs::read(&path).unwrap();
    let second = whole.iter().enumerate().filter(|(_, b)| **b == b'\n').nth(1).unwrap().0 + 1;
    for cut in second..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let (mut journal, records) = Journal::open(directory.path(), "u", None).unwrap();
        assert_eq!(records, [event(0), event(1)], "cut at {cut}");
        journal.append(&[event(2)]).unwrap();
        assert_eq!(journal.status("here"), told);
    }
}

#[test]
fn only_one_appends_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let (held, _) = Journal::open(directory.path(), "u", None).unwrap();
    assert!(matches!(Journal::open(directory.path(), "u", None), Err(JournalError::Locked { .. })));
    drop(held);
    Journal::open(directory.path(), "u", None).unwrap();
}

#[test]
fn evidence_that_is_not_what_was_told_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let told = filled(directory.path(), 3);
    let path = directory.path().join(&told.file);
    let whole = fs::read_to_string(&path).unwrap();
    let shorter: String = whole.split_inclusive('\n').take(2).collect();
    for (text, why) in [
        (whole.replace("number 1", "number 7"), "the digest of its first 3 records"),
        (whole.replace("number 1", "number 17"), "have"),
        (shorter, "it has 2 records, 3 were told"),
        (String::new(), "it has 0 records"),
        (whole.replacen("event", "unheard", 1), "line 1 is no record"),
        (whole.replacen('{', "", 1), "line 1 is no record"),
    ] {
        fs::write(&path, &text).unwrap();
        let found = Journal::open(directory.path(), "u", Some(&told)).unwrap_err().to_string();
        assert!(found.contains(why), "{found}, expected {why}");
        read(directory.path(), &told).unwrap_err();
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(read(directory.path(), &told), Err(JournalError::Io { .. })));
}

#[test]
fn a_picture_is_named_by_what_is_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(directory.path(), "u", None).unwrap();
    let name = journal.keep_picture(b"png").unwrap();
    assert_eq!(journal.keep_picture(b"png").unwrap(), name);
    let told = journal.status("here");
    assert_eq!(picture(directory.path(), &told, &name).unwrap(), b"png");
    fs::write(directory.path().join(format!("soaks/u/{name}.png")), b"another").unwrap();
    assert_eq!(picture(directory.path(), &told, &name), None, "it is not what it says it is");
    let mode = |path: &str| {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(directory.path().join(path)).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(["soaks/u", "soaks/u/records.jsonl"].map(mode), [0o700, 0o600]);
    assert_eq!(mode(&format!("soaks/u/{name}.png")), 0o600);
    for bad in ["../records.jsonl", "", "zz"] {
        assert_eq!(picture(directory.path(), &told, bad), None);
    }
}
