//! A compose project that can be hurt: a web service behind a published port, a base with three dependents, and eight workers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::docker::docker;
use crate::support::free_port;

/// The services that depend on the base.
pub const DEPENDENTS: [&str; 3] = ["d1", "d2", "d3"];

/// The services that are killed all at once.
pub const WORKERS: [&str; 8] = ["w1", "w2", "w3", "w4", "w5", "w6", "w7", "w8"];

/// How long a service that declares it may take to stop.
pub const GRACE: &str = "2s";

/// A project. Dropping it removes everything.
pub struct Stage {
    pub project: String,
    pub directory: tempfile::TempDir,
    pub port: u16,
    pub base_port: u16,
}

impl Stage {
    /// Up, with that restart policy for every service.
    pub fn up(name: &str, restart: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("wicap-bench-").tempdir().expect("a directory");
        let (port, base_port) = (free_port(), free_port());
        let stage = Self { project: format!("wicap-test-bench-{name}-{}", std::process::id()), directory, port, base_port };
        let file = stage.file(restart).to_string();
        // JSON is YAML.
        std::fs::write(stage.directory.path().join("compose.yaml"), file).expect("it can be written");
        stage.compose(&["up", "--detach"]);
        stage.until_serving("app", Duration::from_secs(60)).expect("it serves at the beginning");
        stage
    }

    fn file(&self, restart: &str) -> Value {
        let common = json!({
            "image": "wicap-core:local", "pull_policy": "never", "restart": restart, "stop_grace_period": GRACE, "user": "wicap",
            // The image's own looks every thirty seconds, and whoever is hurt next would be waited for as long.
            "healthcheck": {"disable": true},
        });
        let with = |more: Value| {
            let mut service = common.clone();
            for (key, value) in more.as_object().expect("an object") {
                service[key] = value.clone();
            }
            service
        };
        let mut services = json!({
            "app": with(json!({
                "command": ["wicap-sim", "ui"], "environment": {"UI_HOST": "0.0.0.0"}, "networks": ["front"],
                "ports": [format!("127.0.0.1:{}:8080", self.port)],
                "healthcheck": {
                    "test": ["CMD", "wicap-sim", "probe", "http", "http://127.0.0.1:8080/health"],
                    "interval": "1s", "timeout": "1s", "retries": 1,
                },
            })),
            "base": with(json!({
                "image": "wicap-redis:local", "network_mode": "host",
                "command": ["redis-server", "--port", self.base_port.to_string(), "--bind", "127.0.0.1"],
            })),
        });
        for dependent in DEPENDENTS {
            services[dependent] = with(json!({
                "command": ["wicap-sim", "worker"], "network_mode": "host", "depends_on": ["base"],
                "environment": {"REDIS_PORT": self.base_port.to_string()},
            }));
        }
        for worker in WORKERS {
            services[worker] = with(json!({"command": ["wicap-sim", "worker"], "network_mode": "host"}));
        }
        json!({"services": services, "networks": {"front": {}}})
    }

    /// The stack, as wicap is told of it: no hold-off, no backoff, and no end to the ladder.
    pub fn stack(&self, max_concurrent: u32) -> Value {
        let path = self.directory.path().to_str().expect("a plain path");
        // The time in which a process begins to listen is no illness.
        let delay = "300ms";
        let probe = json!({
            "name": "stats", "initialDelay": delay, "period": "1s", "timeout": "500ms", "failureThreshold": 1,
            "httpGet": {"port": self.port, "path": "/api/stats"},
        });
        let mut services = vec![json!({"name": "app", "probes": [probe]})];
        let base = json!({
            "name": "port", "initialDelay": delay, "period": "1s", "timeout": "500ms", "failureThreshold": 1,
            "tcpSocket": {"port": self.base_port},
        });
        services.push(json!({"name": "base", "probes": [base]}));
        services.extend(DEPENDENTS.map(|name| json!({"name": name, "dependsOn": ["base"]})));
        services.extend(WORKERS.map(|name| json!({"name": name})));
        let step = |action: &str| json!({"action": action, "attempts": 1_000_000});
        json!({
            "apiVersion": "wicap.dev/v1alpha1", "kind": "WicapStack", "metadata": {"name": "bench"},
            "spec": {
                "compose": {"project": self.project, "directory": path}, "services": services,
                "defaults": {"maxConcurrent": max_concurrent, "recovery": {
                    "holdOff": "0s", "resetAfter": "0s", "backoff": {"initial": "0s", "max": "0s"}, "flapping": {"starts": 32, "within": "1s"},
                    "ladder": [step("start_service"), step("restart_service"), step("compose_up"), step("recreate_service")],
                }},
            },
        })
    }

    pub fn policy(&self) -> Value {
        json!({
            "apiVersion": "wicap.dev/v1alpha1", "kind": "ControlPolicy", "metadata": {"name": "all"},
            "spec": {"allow": [{"actions": ["*"]}], "allowedRoots": [self.directory.path()], "hosts": ["*"]},
        })
    }

    pub fn session() -> Value {
        json!({
            "apiVersion": "wicap.dev/v1alpha1", "kind": "ControlSession", "metadata": {"name": "bench"},
            "spec": {
                "stack": "bench", "mode": "Assist", "ttl": "24h", "operator": "bench@localhost", "reason": "figures",
                "allowedActions": ["start_service", "restart_service", "compose_up", "recreate_service"],
            },
        })
    }

    pub fn compose(&self, arguments: &[&str]) {
        let file = self.directory.path().join("compose.yaml");
        let status = Command::new("docker")
            .args(["compose", "--project-name", &self.project, "--file"])
            .arg(file)
            .args(arguments)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status();
        assert!(status.expect("docker is installed by hack/setup").success(), "docker compose {arguments:?}");
    }

    /// Has a service be as it was at the beginning, whatever was done to it.
    pub fn mend(&self, service: &'static str) {
        self.compose(&["up", "--detach", "--no-deps", "--force-recreate", "--timeout", "1", service]);
        self.until_serving(service, Duration::from_secs(60)).expect("it serves again");
    }

    /// The name of a service's container.
    pub fn container(&self, service: &str) -> String {
        format!("{}-{service}-1", self.project)
    }

    pub fn network(&self) -> String {
        format!("{}_front", self.project)
    }

    /// Whether a service does its work now: the web service gives data, the base accepts connections, the others run.
    pub fn serves(&self, service: &str) -> bool {
        let connect =
            |port| TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), Duration::from_millis(200));
        let ask = || -> std::io::Result<bool> {
            let mut stream = connect(self.port)?;
            stream.set_read_timeout(Some(Duration::from_millis(200)))?;
            stream.write_all(b"GET /api/stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
            let mut start = [0; 12];
            stream.read_exact(&mut start)?;
            Ok(start.ends_with(b"200"))
        };
        match service {
            "app" => ask().unwrap_or(false),
            "base" => connect(self.base_port).is_ok(),
            _ => self.started(service).is_some(),
        }
    }

    /// Waits until it does. None: not within that time.
    pub fn until_serving(&self, service: &str, patience: Duration) -> Option<Timestamp> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if self.serves(service) {
                return Some(Timestamp::now());
            }
            // A request costs the service little; a figure is wrong by half of this at most.
            std::thread::sleep(Duration::from_millis(2));
        }
        None
    }

    /// Which process a service's container runs, by the engine's words; none while it runs none.
    pub fn started(&self, service: &str) -> Option<String> {
        let output = Command::new("docker")
            .args(["inspect", "--format", "{{.State.Status}} {{.Id}} {{.State.StartedAt}}", &self.container(service)])
            .output()
            .expect("docker is installed by hack/setup");
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        said.strip_prefix("running ").map(str::to_owned)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // What is paused or frozen does not end by itself.
        let all =
            docker(&["ps", "--all", "--quiet", "--filter", &format!("label=com.docker.compose.project={}", self.project)]);
        let mut remove = Command::new("docker");
        remove.args(["rm", "--force"]).args(all.lines()).stdout(std::process::Stdio::null());
        let _ = remove.stderr(std::process::Stdio::null()).status();
        let _ = Command::new("docker").args(["network", "rm", &self.network()]).stdout(std::process::Stdio::null()).status();
    }
}
