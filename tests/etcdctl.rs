//! Stock `etcdctl`, 3.4 and 3.5, says the same of the store as of etcd: everything it prints, and its exit codes, for one
//! script of commands on both, apart from what each store chooses for itself.

#[path = "etcdctl/normalise.rs"]
mod normalise;
#[path = "etcdctl/pair.rs"]
mod pair;
mod support;

use pair::{Pair, Version};
use support::peer::Kind;

/// What only etcd has, and why; the store must refuse it by saying that it does not have it.
const KNOWN_DIVERGENCES: &[(&str, &str)] = &[
    ("user list", "who may open the socket's file may use the store: there are no users"),
    ("role list", "no users, no roles"),
    ("auth enable", "no users to authenticate"),
    ("member add other --peer-urls http://127.0.0.1:1", "one process, one file: there are no other members"),
    ("move-leader 1", "it has nobody to give its lead to"),
];

/// `etcdctl auth` has a question only since 3.5.
const KNOWN_DIVERGENCES_OF_35: &[(&str, &str)] = &[("auth status", "no users to authenticate")];

/// Each etcdctl that is installed, on a pair of its own. Only 3.5 must be: 3.4 is not in every archive.
async fn on_each(test: impl Fn(&mut Pair)) {
    for version in [Version::V35, Version::V34] {
        if version == Version::V34 && !version.is_installed() {
            eprintln!(
                "NOT RUN for etcdctl 3.4: there is no etcdctl-3.4 here; hack/setup --test takes it from Debian 12's archive"
            );
            continue;
        }
        let mut pair = Pair::start(version).await;
        test(&mut pair);
        pair.finish();
    }
}

#[tokio::test]
async fn keys_are_written_read_sorted_and_deleted_alike() {
    on_each(|pair| pair.script(include_str!("etcdctl/keys.txt"))).await;
}

#[tokio::test]
async fn transactions_compare_branch_and_refuse_alike() {
    on_each(|pair| pair.script(include_str!("etcdctl/txn.txt"))).await;
}

#[tokio::test]
async fn watches_say_what_was_what_comes_and_what_is_lost_alike() {
    on_each(|pair| pair.script(include_str!("etcdctl/watch.txt"))).await;
}

#[tokio::test]
async fn leases_live_and_take_their_keys_with_them_alike() {
    on_each(|pair| pair.script(include_str!("etcdctl/lease.txt"))).await;
}

#[tokio::test]
async fn maintenance_is_done_alike() {
    on_each(|pair| pair.script(include_str!("etcdctl/maintenance.txt"))).await;
}

#[tokio::test]
async fn locks_and_elections_work_alike() {
    on_each(|pair| pair.script(include_str!("etcdctl/concurrency.txt"))).await;
}

#[tokio::test]
async fn mistakes_are_refused_alike() {
    on_each(|pair| pair.script(include_str!("etcdctl/errors.txt"))).await;
}

#[tokio::test]
async fn limits_are_alike() {
    on_each(|pair| {
        let operations = |count: usize| format!("\n{}\n\n", (0..count).map(|n| format!("put k{n} v\n")).collect::<String>());
        pair.step("txn", &operations(128));
        pair.step("! txn", &operations(129));
        let comparisons: String = (0..129).map(|n| format!("version(\"c{n}\") = \"0\"\n")).collect();
        pair.step("! txn", &format!("{comparisons}\nput one 1\n\n\n"));
        // A request may have 1.5 MiB. One of more than 2 MiB is not even sent.
        pair.step("put large", &"x".repeat(1024 * 1024));
        pair.step("! put larger", &"x".repeat(1600 * 1024));
        pair.step("! put largest", &"x".repeat(3 * 1024 * 1024));
        pair.step("get \"\" --prefix --keys-only -w json", "");
    })
    .await;
}

#[tokio::test]
async fn a_snapshot_is_saved_and_read_alike() {
    on_each(|pair| pair.script(include_str!("etcdctl/snapshot.txt"))).await;
}

#[tokio::test]
async fn what_only_etcd_has_is_refused_by_name() {
    on_each(|pair| {
        let of_35 = if pair.version() == Version::V35 { KNOWN_DIVERGENCES_OF_35 } else { &[] };
        for (command, why) in KNOWN_DIVERGENCES.iter().chain(of_35) {
            let [_, said] = pair.ask(command);
            if Kind::under_test() == Kind::Embedded {
                assert!(said.code != 0 && said.err.contains("Unimplemented"), "`{command}` ({why}): {said:?}");
            }
        }
    })
    .await;
}

/// A minute of etcdctl's own load on each store, one after the other and both with every write on the disk: with
/// `WICAP_SLOW` only, as in `WICAP_SLOW=1 hack/test check_perf`.
async fn check_perf(version: Version) {
    if std::env::var_os("WICAP_SLOW").is_none() || !version.is_installed() {
        eprintln!("not run for etcdctl {version:?}: it takes two minutes; WICAP_SLOW=1 runs it where that is installed");
        return;
    }
    let mut pair = Pair::start_durable(version).await;
    pair.step_apart("check perf --load s --auto-compact --auto-defrag");
    pair.finish();
}

#[tokio::test]
async fn check_perf_of_35_says_the_same() {
    check_perf(Version::V35).await;
}

#[tokio::test]
async fn check_perf_of_34_says_the_same() {
    check_perf(Version::V34).await;
}
