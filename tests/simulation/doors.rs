//! The doors by which a process reaches its host: the engine's HTTP API, `docker compose`, and the ports of the services, all of the
//! model. Whatever is wrong with the engine or the process is wrong here.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_util::sync::CancellationToken;
use wicap::api::Time;
use wicap::dice;
use wicap::observe::compose::{ComposeCli, ComposeError, ProcessOutput};
use wicap::observe::dial::Dialer;
use wicap::observe::engine::Engine;

use super::docker::{Container, Docker, Event, Phase, Status, chance};

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// The host, as one process reaches it.
#[derive(Clone)]
pub struct Doors {
    pub docker: Docker,
    pub process: String,
    /// The process is dead: nothing it began gets through any more.
    pub dead: CancellationToken,
    /// Changing calls that it has made.
    pub deeds: Arc<AtomicU64>,
    /// It dies at the deed of that number, right before it or right after.
    pub dies_at: Option<(u64, bool)>,
}

impl Doors {
    /// The engine, Compose and the network.
    pub fn open(&self) -> (Engine, ComposeCli, Dialer) {
        let this = self.clone();
        let engine = Engine::simulated(
            self.docker.clock.clone(),
            Arc::new(move || -> BoxFuture<'static, io::Result<DuplexStream>> {
                let this = this.clone();
                Box::pin(async move { this.dial_engine() })
            }),
        );
        let this = self.clone();
        let compose =
            ComposeCli::simulated(Arc::new(move |argv, _| -> BoxFuture<'static, Result<ProcessOutput, ComposeError>> {
                let this = this.clone();
                Box::pin(async move { this.compose(&argv).await })
            }));
        let this = self.clone();
        let dialer = Dialer::simulated(Arc::new(move |_: &str, port| -> BoxFuture<'static, io::Result<DuplexStream>> {
            let this = this.clone();
            Box::pin(async move { this.dial_service(port) })
        }));
        (engine, compose, dialer)
    }

    fn dial_engine(&self) -> io::Result<DuplexStream> {
        if self.dead.is_cancelled() || self.docker.lock().trouble.refuses {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let this = self.clone();
        tokio::spawn(async move {
            let dead = this.dead.clone();
            let service = service_fn(move |request| {
                let this = this.clone();
                async move { this.answer(request).await }
            });
            let serving = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(theirs), service);
            tokio::select! {
                biased;
                () = dead.cancelled() => {}
                _ = serving => {}
            }
        });
        Ok(ours)
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Answer, Infallible> {
        let (method, path, query) = (request.method().as_str(), request.uri().path(), request.uri().query().unwrap_or(""));
        // Without the version that the client has agreed on.
        let path = match path.strip_prefix("/v1.") {
            Some(rest) => rest.split_once('/').map_or("", |(_, rest)| rest),
            None => path.trim_start_matches('/'),
        };
        let parts: Vec<&str> = path.split('/').collect();
        Ok(match (method, &parts[..]) {
            ("POST", ["containers", id, verb]) => return Ok(self.change(id, verb, query).await),
            _ if self.lost() => std::future::pending().await,
            ("GET", ["containers", id, "json"]) if self.docker.is_mute(id) => std::future::pending().await,
            ("GET", ["version"]) => {
                json_answer(200, &json!({"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10.24"}))
            }
            ("GET", ["_ping"]) => json_answer(200, &json!("OK")),
            ("GET", ["events"]) => self.events(query),
            ("GET", ["containers", "json"]) => self.list(),
            ("GET", ["containers", id, "json"]) => self.inspect(id),
            ("GET", ["images", .., "json"]) => json_answer(200, &json!({"Id": "sha256:0"})),
            _ => json_answer(404, &json!({"message": format!("the model has no {method} /{path}")})),
        })
    }

    fn lost(&self) -> bool {
        let share = self.docker.lock().trouble.hangs;
        chance(share)
    }

    fn events(&self, query: &str) -> Answer {
        let since = query.split('&').find_map(|pair| pair.strip_prefix("since=")).and_then(|text| text.split_once('.'));
        let since = since.and_then(|(seconds, nanos)| Time::new(seconds.parse().ok()?, nanos.parse().ok()?).ok());
        let listener = self.docker.listen(since.unwrap_or_else(|| self.docker.clock.now()));
        let project = self.docker.project;
        let lines =
            futures::stream::unfold(listener, |mut listener| async move { Some((listener.recv().await?, listener)) })
                .map(move |event| Ok::<_, Infallible>(Frame::data(Bytes::from(event_line(project, &event)))));
        Response::new(BodyExt::boxed_unsync(StreamBody::new(Box::pin(lines))))
    }

    fn list(&self) -> Answer {
        let project = self.docker.project;
        let containers = self.docker.lock().containers.clone();
        let one = |c: &Container| json!({"Id": c.id, "State": word(c.phase), "Labels": labels(project, &c.service, c.number, c.config)});
        let all: Vec<Value> = containers.values().map(one).collect();
        json_answer(200, &json!(all))
    }

    fn inspect(&self, id: &str) -> Answer {
        let state = self.docker.lock();
        let Some(c) = state.containers.get(id) else {
            return json_answer(404, &json!({"message": format!("No such container: {id}")}));
        };
        let time = |t: Option<Time>| t.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |t| t.to_string());
        let mut said = json!({
            "Id": c.id, "Name": format!("/p-{}-{}", c.service, c.number), "RestartCount": c.restart_count, "Image": "sha256:0",
            "State": {
                "Status": word(c.phase), "ExitCode": c.exit_code, "OOMKilled": false,
                "StartedAt": time(c.started_at), "FinishedAt": time(c.finished_at),
            },
            "Config": {"Image": "image", "Labels": labels(self.docker.project, &c.service, c.number, c.config), "StopTimeout": 5},
            "NetworkSettings": {"Networks": {}},
        });
        if let Some(health) = c.health {
            // The engine's check of a paused container runs into its time limit.
            said["State"]["Health"] = json!({"Status": if c.phase == Phase::Paused { "unhealthy" } else { health }});
        }
        json_answer(200, &said)
    }

    /// A changing call: counted, perhaps fatal, perhaps in trouble.
    async fn change(&self, id: &str, verb: &str, query: &str) -> Answer {
        let grace = query.split('&').find_map(|pair| pair.strip_prefix("t=")).and_then(|t| t.parse().ok()).unwrap_or(10);
        let service = self.docker.lock().containers.get(id).map(|c| c.service.clone());
        let verb = match verb {
            "start" => "start",
            "restart" => "restart",
            "stop" => "stop",
            _ => return json_answer(404, &json!({"message": "the model has no such call"})),
        };
        let (docker, id) = (self.docker.clone(), id.to_owned());
        let work = async move {
            if docker.is_mute(&id) {
                return std::future::pending().await;
            }
            match verb {
                "start" => docker.start(&id).await,
                "restart" => docker.restart(&id, Duration::from_secs(grace)).await,
                _ => docker.stop(&id, Duration::from_secs(grace)).await,
            }
        };
        match self.deed(verb, service.into_iter().collect(), work).await {
            204 | 304 => {
                Response::builder().status(204).body(BodyExt::boxed_unsync(Full::default())).expect("a status and no body")
            }
            status => json_answer(status, &json!({"message": format!("{verb} was answered {status}")})),
        }
    }

    /// Does something that changes containers, as far as the engine's trouble lets it; what has begun goes on without its caller.
    async fn deed(
        &self,
        verb: &'static str,
        services: Vec<String>,
        work: impl Future<Output = Status> + Send + 'static,
    ) -> Status {
        let number = self.deeds.fetch_add(1, Ordering::Relaxed) + 1;
        if self.dies_at == Some((number, true)) {
            self.docker.journal.say(&self.process, &format!("dies before its deed {number}"));
            self.dead.cancel();
            return std::future::pending().await;
        }
        let trouble = self.docker.lock().trouble.clone();
        self.docker.journal.did(&self.process, verb, &services);
        if chance(trouble.fails) {
            self.docker.journal.say("engine", &format!("{verb} fails"));
            return 500;
        }
        let hangs = chance(trouble.hangs);
        if hangs && chance(0.5) {
            self.docker.journal.say("engine", &format!("{verb} is lost"));
            return std::future::pending().await;
        }
        let late = if chance(trouble.late) { Duration::from_secs(4).mul_f64(dice::draw(0.0..1.0)) } else { Duration::ZERO };
        let lies = chance(trouble.lies);
        let done = tokio::spawn(async move {
            tokio::time::sleep(late).await;
            work.await
        });
        if self.dies_at == Some((number, false)) {
            self.docker.journal.say(&self.process, &format!("dies after its deed {number}"));
            self.dead.cancel();
        }
        let status = done.await.expect("the model does not panic");
        if hangs {
            self.docker.journal.say("engine", &format!("the answer to {verb} is lost"));
            return std::future::pending().await;
        }
        if lies { 500 } else { status }
    }

    /// `docker compose`, from the words after its options.
    async fn compose(&self, argv: &[String]) -> Result<ProcessOutput, ComposeError> {
        let words: Vec<&str> = argv.iter().map(String::as_str).collect();
        let verb = words.iter().position(|w| *w == "never").map_or(&[][..], |i| &words[i + 1..]);
        let verb = verb.strip_prefix(&["--file", "-"]).unwrap_or(verb);
        let said = |stdout: String| Ok(ProcessOutput { exit_code: Some(0), stdout, stderr: String::new() });
        let programs = self.docker.lock().programs.clone();
        match verb {
            ["config", "--hash", ..] => {
                said(programs.iter().map(|(name, p)| format!("{name} {:x}\n", p.config)).collect::<String>())
            }
            ["config", "--services"] => said(programs.keys().map(|name| format!("{name}\n")).collect::<String>()),
            ["config", ..] => {
                let services: BTreeMap<&String, Value> = programs
                    .iter()
                    .map(|(name, p)| {
                        let needs: BTreeMap<&String, Value> = p.needs.iter().map(|n| (n, json!({}))).collect();
                        (name, json!({"image": "image", "depends_on": needs, "scale": p.more + 1}))
                    })
                    .collect();
                said(json!({"services": services}).to_string())
            }
            ["up", options @ ..] => {
                let services = options.iter().skip_while(|w| w.starts_with("--") || **w == "never");
                let services: Vec<String> = services.map(|s| (*s).to_owned()).collect();
                let anew = options.contains(&"--force-recreate");
                let (docker, wanted) = (self.docker.clone(), services.clone());
                let work = async move {
                    for service in wanted {
                        let mut ids: Vec<String> = docker.all_of(&service).into_iter().map(|c| c.id).collect();
                        if ids.iter().any(|id| docker.is_mute(id)) {
                            return std::future::pending().await;
                        }
                        for old in if anew { std::mem::take(&mut ids) } else { Vec::new() } {
                            docker.stop(&old, Duration::from_secs(5)).await;
                            docker.remove(&old);
                        }
                        while ids.len() < docker.wanted(&service) {
                            ids.push(docker.create(&service));
                        }
                        for id in ids {
                            if docker.start(&id).await >= 400 {
                                return 1;
                            }
                        }
                    }
                    0
                };
                self.compose_deed(if anew { "recreate" } else { "up" }, services, work).await
            }
            ["down", options @ ..] => {
                let services: Vec<String> =
                    options.iter().filter(|w| !w.starts_with("--")).map(|s| (*s).to_owned()).collect();
                let (docker, wanted) = (self.docker.clone(), services.clone());
                let work = async move {
                    for old in wanted.iter().flat_map(|s| docker.all_of(s)) {
                        docker.stop(&old.id, Duration::from_secs(5)).await;
                        docker.remove(&old.id);
                    }
                    0
                };
                self.compose_deed("down", services, work).await
            }
            other => panic!("the model's Compose is not made for {other:?}"),
        }
    }

    async fn compose_deed(
        &self,
        verb: &'static str,
        services: Vec<String>,
        work: impl Future<Output = Status> + Send + 'static,
    ) -> Result<ProcessOutput, ComposeError> {
        if self.docker.lock().trouble.refuses {
            let stderr = "Cannot connect to the Docker daemon".to_owned();
            return Ok(ProcessOutput { exit_code: Some(1), stdout: String::new(), stderr });
        }
        let status = self.deed(verb, services, work).await;
        Ok(ProcessOutput { exit_code: Some(i32::from(status != 0)), stdout: String::new(), stderr: String::new() })
    }

    /// A connection to whatever listens on that port.
    fn dial_service(&self, port: u16) -> io::Result<DuplexStream> {
        let service = {
            let state = self.docker.lock();
            let named = |(name, p): (&String, &super::docker::Program)| (p.port == port).then(|| name.clone());
            state.programs.iter().find_map(named)
        };
        let all = service.map(|s| self.docker.all_of(&s)).unwrap_or_default();
        let found = all.into_iter().find(Container::accepts);
        let Some(container) = found else { return Err(io::ErrorKind::ConnectionRefused.into()) };
        let (ours, mut theirs) = tokio::io::duplex(4096);
        tokio::spawn(async move {
            let mut request = [0; 1024];
            let _ = theirs.read(&mut request).await;
            if container.serves() {
                let _ = theirs.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            } else {
                // Nobody reads what the kernel has taken.
                std::future::pending::<()>().await;
            }
        });
        Ok(ours)
    }
}

/// The engine's word for it.
fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Created => "created",
        Phase::Running => "running",
        Phase::Paused => "paused",
        Phase::Restarting => "restarting",
        Phase::Exited => "exited",
    }
}

fn labels(project: &str, service: &str, number: u32, config: u32) -> Value {
    json!({
        "com.docker.compose.project": project, "com.docker.compose.service": service,
        "com.docker.compose.container-number": number.to_string(), "com.docker.compose.oneoff": "False",
        "com.docker.compose.config-hash": format!("{config:x}"),
    })
}

fn event_line(project: &str, event: &Event) -> String {
    let nanos = i64::try_from(event.at.as_nanosecond()).expect("this century");
    let said = json!({
        "Type": "container", "Action": event.action,
        "Actor": {"ID": event.id, "Attributes": labels(project, &event.service, 1, 0)},
        "time": nanos / 1_000_000_000, "timeNano": nanos,
    });
    format!("{said}\n")
}

fn json_answer(status: u16, body: &Value) -> Answer {
    let bytes = Bytes::from(body.to_string());
    let answer = Response::builder().status(status).header("content-type", "application/json");
    answer.body(BodyExt::boxed_unsync(Full::new(bytes))).expect("a status and a body")
}
