//! monit, watching one stage: a cycle of a second, which is the shortest it has.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use crate::stage::{GRACE, Stage};

/// A running monit, with a directory of its own.
pub struct Monit {
    child: Child,
    _directory: tempfile::TempDir,
}

impl Monit {
    pub fn start(stage: &Arc<Stage>) -> Self {
        let directory = tempfile::Builder::new().prefix("wicap-bench-monit-").tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name).display().to_string();
        let grace = GRACE.trim_end_matches('s');
        let check = |service: &str, test: &str| {
            let container = stage.container(service);
            format!(
                "check host {service} with address 127.0.0.1\n\
                 \x20 start program = \"/usr/bin/docker start {container}\" with timeout 20 seconds\n\
                 \x20 stop program = \"/usr/bin/docker stop -t {grace} {container}\" with timeout 20 seconds\n\
                 \x20 if failed {test} then restart\n"
            )
        };
        let app = format!("port {} protocol http request \"/api/stats\" status = 200 with timeout 1 seconds", stage.port);
        let base = format!("port {} with timeout 1 seconds", stage.base_port);
        let config = format!(
            "set daemon 1\nset log {}\nset pidfile {}\nset idfile {}\nset statefile {}\n{}{}",
            path("log"),
            path("pid"),
            path("id"),
            path("state"),
            check("app", &app),
            check("base", &base),
        );
        let file = directory.path().join("monitrc");
        std::fs::write(&file, config).expect("it can be written");
        // It refuses a file that others may read.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&file, mode).expect("it is ours");
        let child = Command::new("monit")
            .args(["-I", "-c"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("monit is installed by hack/setup --bench");
        Self { child, _directory: directory }
    }
}

impl Drop for Monit {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
