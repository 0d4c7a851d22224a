//! What holds of `apply` and `diff` for any valid object: on a real store, through the command line as it is typed.

mod apply_properties {
    pub mod objects;
}
mod support;

use apply_properties::objects;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use support::cli::{Scene, target};

/// Enough to see every optional part of every kind absent and present, few enough for seconds.
const CASES: u32 = 16;

/// Tries a property on many inputs. Each gets names of its own, so that all share one store.
fn hold<S: Strategy>(strategy: S, property: impl Fn(&Scene, S::Value)) {
    let scene = Scene::new();
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    runner
        .run(&strategy, |input| {
            property(&scene, input);
            Ok(())
        })
        .unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn what_is_applied_twice_is_unchanged() {
    hold(objects::valid(), |scene, manifest| {
        assert_ne!(scene.apply(&manifest), "unchanged", "{manifest}");
        let before = scene.live(&manifest);
        assert_eq!(scene.apply(&manifest), "unchanged", "{manifest}");
        assert_eq!(scene.live(&manifest), before, "nothing was written");
    });
}

#[test]
fn what_is_got_and_applied_is_unchanged() {
    hold(objects::valid(), |scene, manifest| {
        scene.apply(&manifest);
        let before = scene.live(&manifest);
        for format in ["yaml", "json"] {
            let got = scene.run(&["get", &target(&manifest), "-o", format]);
            let file = scene.file("got", &got.out);
            let said = scene.run(&["apply", "-f", file.to_str().unwrap()]);
            assert!(said.code == 0 && said.out.ends_with(" unchanged\n") && said.err.is_empty(), "{said:?}\n{}", got.out);
        }
        assert_eq!(scene.live(&manifest), before, "nothing was written");
    });
}

#[test]
fn what_others_set_stays_where_no_manifest_speaks_of_it() {
    hold((objects::valid(), objects::valid_change(), objects::theirs()), |scene, (first, change, theirs)| {
        scene.apply(&first);
        scene.patch(&first, &theirs.patch(&first));
        let second = change.of(&first);
        scene.apply(&second);
        let live = scene.live(&second);
        assert!(theirs.is_still_in(&live), "{theirs:?}\n{live}");
        assert_eq!(scene.apply(&second), "unchanged", "{second}");
        assert_eq!(scene.live(&second), live);
    });
}

#[test]
fn there_is_a_difference_exactly_when_apply_would_change_something() {
    hold((objects::valid(), objects::valid_change(), objects::theirs()), |scene, (first, change, theirs)| {
        let agree = |manifest: &Value| {
            let difference = scene.on(&["diff"], manifest);
            assert_eq!(difference.code, u8::from(!difference.out.is_empty()), "{difference:?}");
            let dry = scene.on(&["apply", "--dry-run=server"], manifest);
            let unchanged = scene.apply(manifest) == "unchanged";
            assert_eq!(dry.out.contains(" unchanged "), unchanged, "{dry:?}");
            assert_eq!(difference.out.is_empty(), unchanged, "{}\n{manifest}", difference.out);
        };
        agree(&first);
        agree(&first);
        scene.patch(&first, &theirs.patch(&first));
        agree(&first);
        let second = change.of(&first);
        agree(&second);
        agree(&second);
        if change.can_be_undone(&first) {
            agree(&first);
        }
    });
}
