//! Jobs on a real engine: what they show is what counts, they run once whatever is killed, and they leave nothing.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::docker::{Proxy, docker};
use support::scene::Scene;
use support::{Daemon, apply, phase, until};
use wicap::act::job::container_name;
use wicap::api::action::{ActionPhase, ActionRun, JobResult};
use wicap::api::soak::{SoakPhase, SoakRun, Verdict};

/// The example stack with jobs, and a session in which they may be run.
async fn scene(name: &str) -> Scene {
    let jobs = |stack: &mut Value| {
        let port = stack["spec"]["services"][3]["probes"][0]["httpGet"]["port"].clone();
        let job = |name: &str, args: Value| {
            let base = json!(["wicap-sim", "suite", "--junit", "/tmp/junit.xml"]);
            let args: Vec<Value> = [base.as_array().unwrap().clone(), args.as_array().unwrap().clone()].concat();
            json!({"name": name, "image": "wicap-core:local", "network": "host", "junit": "/tmp/junit.xml", "args": args})
        };
        let stats = format!("http://127.0.0.1:{port}/api/stats");
        let mut elsewhere = job("elsewhere", json!(["--get", stats]));
        elsewhere["junit"] = json!("/tmp/other.xml");
        let mut no_image = job("no-image", json!([]));
        no_image["image"] = json!("wicap-no-such-image:local");
        let mut no_network = job("no-network", json!([]));
        no_network["network"] = json!("backend");
        stack["spec"]["jobs"] = json!([
            job("good", json!(["--get", stats, "--skip", "1"])),
            job("bad", json!(["--get", stats, "--get", format!("http://127.0.0.1:{port}/no/such/page")])),
            job("skipped", json!(["--skip", "3"])),
            job("slow", json!(["--get", stats, "--wait", "6"])),
            job("endless", json!(["--wait", "3600"])),
            elsewhere,
            no_image,
            no_network,
        ]);
    };
    let may = |session: &mut Value| session["allowedActions"].as_array_mut().unwrap().push(json!("run_job"));
    Scene::new(name, &[], jobs, may).await
}

fn ask(scene: &Scene, name: &str, job: &str, timeout: &str) {
    let run = json!({
        "apiVersion": "wicap.dev/v1alpha1", "kind": "ActionRun", "metadata": {"name": name},
        "spec": {"stack": "wicap", "action": "run_job", "target": job, "session": "night", "timeout": timeout,
            "cause": {"kind": "Operator", "summary": "a test"}},
    });
    apply(&scene.url, &[run]);
}

async fn ended(scene: &Scene, name: &str) -> ActionRun {
    until::<ActionRun>(&scene.store, name, "ended", |r| phase(r).is_final()).await
}

fn result(run: &ActionRun) -> Option<JobResult> {
    run.status.as_ref().unwrap().verification.as_ref().and_then(|v| v.job.clone())
}

/// The containers that jobs of this test have left.
fn left(scene: &Scene) -> String {
    let label = format!("label=dev.wicap.project={}", scene.example.project);
    docker(&["ps", "--all", "--format", "{{.Names}} {{.State}}", "--filter", &label])
}

/// Waits until the last container is gone: it goes once its end is on record.
async fn until_nothing_is_left(scene: &Scene) {
    tokio::time::timeout(Duration::from_secs(30), async {
        while !left(scene).is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("jobs have left {}", left(scene)));
}

/// Waits until the container of a job runs.
async fn until_it_runs(run: &ActionRun) {
    let name = container_name(run.metadata.uid.as_ref().unwrap());
    let filter = format!("name={name}");
    tokio::time::timeout(Duration::from_secs(30), async {
        while docker(&["ps", "--quiet", "--filter", &filter]).is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("the job starts");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_told_by_what_it_shows_and_leaves_nothing() {
    let scene = scene("jobs").await;
    for (name, timeout) in [
        ("good", "60s"),
        ("bad", "60s"),
        ("skipped", "60s"),
        ("elsewhere", "60s"),
        ("endless", "3s"),
        ("no-image", "60s"),
        ("no-network", "60s"),
    ] {
        ask(&scene, name, name, timeout);
    }
    let counts = |run: &ActionRun| result(run).map(|r| (r.exit_code, r.passed, r.failed + r.errors, r.skipped));
    let said = |run: &ActionRun| run.status.as_ref().unwrap().message.clone().unwrap();
    let good = ended(&scene, "good").await;
    assert_eq!((phase(&good), counts(&good)), (ActionPhase::Succeeded, Some((Some(0), 1, 0, 1))), "{good:#?}");
    let bad = ended(&scene, "bad").await;
    assert_eq!((phase(&bad), counts(&bad)), (ActionPhase::Failed, Some((Some(1), 1, 1, 0))), "{bad:#?}");
    assert!(
        said(&bad).contains("/no/such/page: answered 404") && said(&bad).contains("it printed: ok GET"),
        "{}",
        said(&bad)
    );
    let skipped = ended(&scene, "skipped").await;
    assert_eq!((phase(&skipped), counts(&skipped)), (ActionPhase::Failed, Some((Some(0), 0, 0, 3))), "{skipped:#?}");
    let elsewhere = ended(&scene, "elsewhere").await;
    assert_eq!((phase(&elsewhere), counts(&elsewhere)), (ActionPhase::Failed, None), "{elsewhere:#?}");
    assert!(said(&elsewhere).contains("it left no /tmp/other.xml"), "{}", said(&elsewhere));
    let endless = ended(&scene, "endless").await;
    assert_eq!((phase(&endless), counts(&endless)), (ActionPhase::Failed, Some((None, 0, 0, 0))), "{endless:#?}");
    assert!(said(&endless).starts_with("it did not end within 3s"), "{}", said(&endless));
    for (name, why) in [("no-image", "No such image"), ("no-network", "the project has no network \"backend\"")] {
        let run = ended(&scene, name).await;
        assert_eq!((phase(&run), counts(&run)), (ActionPhase::Failed, None), "{run:#?}");
        assert!(said(&run).starts_with("not done: ") && said(&run).contains(why), "{}", said(&run));
    }
    until_nothing_is_left(&scene).await;

    assert_eq!(scene.told(), Vec::<String>::new(), "no service noticed any of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_actuator_is_killed_runs_once_and_is_told_by_the_next() {
    let mut scene = scene("jobs-kill").await;
    ask(&scene, "slow", "slow", "60s");
    let running =
        until::<ActionRun>(&scene.store, "slow", "executed", |r| r.status.as_ref().is_some_and(|s| s.steps.len() == 2))
            .await;
    until_it_runs(&running).await;
    scene.daemons[0].kill();
    scene.daemons[0] = Daemon::start(&scene.url, scene.example.path(), &[]);
    let run = ended(&scene, "slow").await;
    let status = run.status.clone().unwrap();
    assert_eq!(status.phase, ActionPhase::Succeeded, "{run:#?}");
    assert!(status.message.unwrap().contains("taken over by"));
    assert_eq!(result(&run).unwrap().passed, 1);
    until_nothing_is_left(&scene).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_a_job_and_its_container_and_so_does_the_end_of_who_runs_it() {
    let mut scene = scene("jobs-stop").await;
    ask(&scene, "stopped", "endless", "10m");
    let running = until::<ActionRun>(&scene.store, "stopped", "Running", |r| phase(r) == ActionPhase::Running).await;
    until_it_runs(&running).await;

    // Whoever is asked to end does not wait for it.
    scene.daemons[0].signal(rustix::process::Signal::TERM);
    let asked = std::time::Instant::now();
    assert_eq!(scene.daemons[0].ended().await, Some(0));
    assert!(asked.elapsed() < Duration::from_secs(60), "it waited for the job");
    assert!(left(&scene).contains("running"), "{}", left(&scene));
    scene.daemons[0] = Daemon::start(&scene.url, scene.example.path(), &[]);

    scene.do_ctl(&["stop", "wicap", "--reason", "x"]);
    let run = ended(&scene, "stopped").await;
    assert_eq!(phase(&run), ActionPhase::Interrupted, "{run:#?}");
    until_nothing_is_left(&scene).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_could_not_be_removed_is_removed_when_the_engine_answers_again() {
    let mut scene = scene("jobs-cut").await;
    scene.daemons[0].signal(rustix::process::Signal::TERM);
    scene.daemons[0].ended().await;
    let proxy = Proxy::new(scene.example.path());
    scene.daemons[0] = Daemon::start(&scene.url, scene.example.path(), &["--docker", &proxy.url()]);
    ask(&scene, "left", "endless", "10m");
    let running = until::<ActionRun>(&scene.store, "left", "Running", |r| phase(r) == ActionPhase::Running).await;
    until_it_runs(&running).await;

    proxy.cut();
    scene.do_ctl(&["stop", "wicap", "--reason", "x"]);
    let run = ended(&scene, "left").await;
    assert_eq!(phase(&run), ActionPhase::Interrupted, "{run:#?}");
    // When it ended, and since that was written.
    tokio::time::timeout(Duration::from_secs(60), async {
        while scene.daemons[0].logged().matches("could not be removed").count() < 2 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("it is tried");
    assert!(left(&scene).contains("running"), "{}", left(&scene));
    proxy.mend();
    until_nothing_is_left(&scene).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_soak_run_that_asked_for_a_job_ends_the_job() {
    let scene = scene("jobs-soak").await;
    let mut run = scene.example.soak(600);
    run["spec"]["session"] = json!("night");
    run["spec"]["checks"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "e2e", "period": "5m", "timeout": "5m", "job": "endless"}));
    apply(&scene.url, &[run.clone()]);
    let soaking = |s: &SoakRun| s.status.as_ref().is_some_and(|s| s.phase == SoakPhase::Soaking);
    let soak = until::<SoakRun>(&scene.store, "soak", "Soaking", soaking).await;
    let uid: String = soak.metadata.uid.unwrap().chars().take(8).collect();
    let name = format!("soak-{uid}-check2-e2e-0-1");
    let running = |r: &ActionRun| phase(r) == ActionPhase::Running;
    until_it_runs(&until::<ActionRun>(&scene.store, &name, "Running", running).await).await;

    run["spec"]["abort"] = json!(true);
    apply(&scene.url, &[run]);
    let job = ended(&scene, &name).await;
    let status = job.status.unwrap();
    assert_eq!(status.phase, ActionPhase::Interrupted);
    assert!(status.message.as_ref().unwrap().contains("SoakRun \"soak\" is over"), "{:?}", status.message);
    let over = |s: &SoakRun| s.status.as_ref().is_some_and(|s| s.phase == SoakPhase::Completed);
    let soak = until::<SoakRun>(&scene.store, "soak", "Completed", over).await;
    assert_eq!(soak.status.unwrap().verdict, Some(Verdict::Aborted));
    until_nothing_is_left(&scene).await;
}
