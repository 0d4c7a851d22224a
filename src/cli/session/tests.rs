use std::fs;

use crate::cli::apply::Apply;
use crate::clock::Clock;
use crate::store::StoreUrl;
use crate::store::embedded::data_dir::DataDir;
use crate::store::embedded::{Embedded, Options};
use clap::Parser;
use serde_json::json;

use super::*;

#[derive(Debug, Parser)]
enum Line {
    #[command(flatten)]
    Session(Verb),
    Apply(Apply),
}

/// A store with the stack `wicap`, and what commands say of it.
struct Scene {
    directory: tempfile::TempDir,
    store: Store,
    _embedded: Embedded,
}

#[derive(Debug)]
struct Said {
    out: String,
    err: String,
    code: u8,
}

impl Scene {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir::take(&directory.path().join("data")).unwrap();
        let embedded = Embedded::open(data, Options::default()).unwrap();
        let store = Store::with_client(embedded.client().await.unwrap(), StoreUrl::embedded(), Clock::system());
        let spec = json!({"compose": {"project": "p", "directory": "/srv/p"}, "services": [{"name": "ui"}]});
        let scene = Self { directory, store, _embedded: embedded };
        scene.store.api().create(&WicapStack::new("wicap", serde_json::from_value(spec).unwrap())).await.unwrap();
        scene
    }

    async fn say(&self, line: &str) -> Said {
        let line = Line::try_parse_from(std::iter::once("session").chain(line.split(' '))).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut io = Io { out: &mut out, err: &mut err, manners: crate::cli::Manners::default() };
        let ended = match line {
            Line::Session(verb) => Session { verb }.run(&self.store, &mut io).await,
            Line::Apply(apply) => apply.run(&self.store, &mut io).await,
        };
        let code = ended.as_ref().err().map_or(0, Error::exit_code);
        let (out, mut err) = (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap());
        err += &ended.err().map(|e| e.to_string()).unwrap_or_default();
        Said { out, err, code }
    }

    async fn apply(&self, manifest: &Value) -> Said {
        let file = self.directory.path().join("manifest.json");
        fs::write(&file, manifest.to_string()).unwrap();
        self.say(&format!("apply -f {}", file.display())).await
    }

    async fn session(&self, name: &str) -> ControlSession {
        self.store.api().get(name).await.unwrap()
    }
}

fn document(said: &Said) -> Value {
    assert_eq!(said.code, 0, "{said:?}");
    serde_json::from_str(&said.out).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_printed_is_what_was_applied() {
    let scene = Scene::new().await;
    let started = document(&scene.say("start wicap --name night --ttl 2h -o json").await);
    assert_eq!(scene.apply(&started).await.out, "controlsession.wicap.dev/night unchanged\n");
    let shorter = document(&scene.say("extend night --by -30m -o json").await);
    assert_eq!(scene.session("night").await.spec.ttl.to_string(), "1h30m");
    assert_eq!(scene.apply(&shorter).await.out, "controlsession.wicap.dev/night unchanged\n");
    let longer = document(&scene.say("extend night --ttl 4h -o json").await);
    assert_eq!(longer["items"].as_array().unwrap().len(), 2);
    let unchanged = "controlsession.wicap.dev/night-2 unchanged\ncontrolsession.wicap.dev/night unchanged\n";
    assert_eq!(scene.apply(&longer).await.out, unchanged);
    let ended = document(&scene.say("end night-2 -o json").await);
    assert_eq!(scene.apply(&ended).await.out, "controlsession.wicap.dev/night-2 unchanged\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_longer_session_is_another_one_and_the_old_one_is_over() {
    let scene = Scene::new().await;
    scene.say("start wicap --name night --ttl 2h --max-actions 6/1h").await;
    let said = scene.say("extend night --by 1h --reason more").await;
    let expected = "controlsession.wicap.dev/night-2 created\ncontrolsession.wicap.dev/night configured\n";
    assert_eq!((said.out.as_str(), said.code), (expected, 0));
    assert!(
        said.err.contains("night-2 takes the place of night") && said.err.contains("what its budget count begins anew"),
        "{said:?}"
    );
    let (old, new) = (scene.session("night").await, scene.session("night-2").await);
    assert!(old.spec.end && !new.spec.end);
    assert_eq!((new.spec.ttl.to_string().as_str(), new.spec.reason.as_str()), ("3h", "more"));
    let again = scene.say("extend night --by 1h").await;
    assert_eq!(again.code, 1);
    assert!(again.err.contains("was told to end; open another: wicapctl session start wicap"), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_keeps_what_others_have_set_and_cannot_be_taken_back() {
    let scene = Scene::new().await;
    let started = document(&scene.say("start wicap --name night -o json").await);
    let mut session = scene.session("night").await;
    session.metadata.labels = Some([("theirs".to_owned(), "1".to_owned())].into());
    scene.store.api().replace(&session).await.unwrap();
    assert_eq!(scene.say("end night").await.out, "controlsession.wicap.dev/night configured\n");
    let ended = scene.session("night").await;
    assert!(ended.spec.end && ended.metadata.labels.unwrap()["theirs"] == "1");
    assert_eq!(scene.say("end night").await.out, "controlsession.wicap.dev/night unchanged\n");
    let back = scene.apply(&started).await;
    assert!(back.code == 4 && back.err.contains("a session that was ended does not come back"), "{back:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_never_applied_can_be_ended_too() {
    let scene = Scene::new().await;
    let spec =
        json!({"stack": "wicap", "mode": "Monitor", "ttl": "1h", "allowedActions": [], "operator": "a@h", "reason": "r"});
    let session = ControlSession::new("bare", serde_json::from_value(spec).unwrap());
    scene.store.api().create(&session).await.unwrap();
    assert_eq!(scene.say("end bare -o name").await.out, "controlsession.wicap.dev/bare\n");
    assert!(scene.session("bare").await.spec.end);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_writes_nothing_and_says_so() {
    let scene = Scene::new().await;
    let said = scene.say("start wicap --name night --dry-run").await;
    assert_eq!(said.out, "controlsession.wicap.dev/night created (server dry run)\n");
    assert!(said.err.contains("\"ttl\": \"8h\""), "what would be applied is shown: {said:?}");
    let said = scene.say("start nowhere --name night --dry-run=client --allow group:safe").await;
    assert_eq!(said.out, "controlsession.wicap.dev/night created (dry run)\n");
    assert!(scene.store.api::<ControlSession>().get_opt("night").await.unwrap().is_none());
    scene.say("start wicap --name night").await;
    for line in ["end night --dry-run", "extend night --by 1h --dry-run", "extend night --ttl 1h --dry-run"] {
        assert_eq!(scene.say(line).await.code, 0, "{line}");
    }
    let session = scene.session("night").await;
    assert_eq!((session.spec.end, session.spec.ttl.to_string().as_str()), (false, "8h"));
    assert_eq!(scene.store.api::<ControlSession>().list(&ListParams::default()).await.unwrap().items.len(), 1);
    let taken = scene.say("start wicap --name night --dry-run").await;
    assert_eq!(taken.code, 4, "{taken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_soak_run_keeps_its_session_from_being_replaced() {
    let scene = Scene::new().await;
    scene.say("start wicap --name night").await;
    let spec = json!({"stack": "wicap", "duration": "1h", "session": "night",
        "checks": [{"name": "ui", "period": "30s", "httpGet": {"port": 80}}]});
    let run = SoakRun::new("soak", serde_json::from_value(spec).unwrap());
    scene.store.api().create(&run).await.unwrap();
    let said = scene.say("extend night --by 1h").await;
    assert_eq!(said.code, 1);
    assert!(said.err.contains("soakrun.wicap.dev/soak runs in it and would end with it"), "{said:?}");
    assert!(!scene.session("night").await.spec.end);
    assert_eq!(scene.say("extend night --by -1h").await.code, 0, "shorter is in place");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_will_keep_it_from_being_of_use_is_told_at_once() {
    let scene = Scene::new().await;
    scene.say("start wicap --name night").await;
    let stop = EmergencyStop::new("all", serde_json::from_value(json!({"reason": "fire", "by": "a@h"})).unwrap());
    scene.store.api().create(&stop).await.unwrap();
    let said = scene.say("start wicap --name second -o name").await;
    assert_eq!((said.out.as_str(), said.code), ("controlsession.wicap.dev/second\n", 0));
    assert!(said.err.contains("wicapctl session end night") && said.err.contains("wicapctl resume --all"), "{said:?}");
    let quiet = scene.say("start wicap --name third --mode Monitor -o name").await;
    assert!(!quiet.err.contains("session end"), "one that does not act waits for nobody: {quiet:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_name_is_tried_and_the_first_mistake_does_not_hide_the_others() {
    let scene = Scene::new().await;
    scene.say("start wicap --name night").await;
    let said = scene.say("end nope night").await;
    assert_eq!((said.out.as_str(), said.code), ("controlsession.wicap.dev/night configured\n", 1));
    assert!(said.err.contains("controlsessions.wicap.dev \"nope\" not found"), "{said:?}");
}
