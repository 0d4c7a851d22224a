//! What every role has in common: its control socket, its faults at start, its leak, and its end at SIGTERM.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::journal::{self, Level};
use crate::live::{Live, Outcome};
use crate::role::Role;
use crate::settings::Settings;
use crate::{control, leak, processor, scout, ui, worker};

/// Plays a role until SIGTERM or SIGINT, or until it fails by itself.
pub async fn run(role: Role, settings: Settings, socket: &Path) -> io::Result<()> {
    // First of all: a signal that comes before its handler is ignored by a PID 1.
    let terminate = signal(SignalKind::terminate())?;
    let interrupt = signal(SignalKind::interrupt())?;
    let settings = Arc::new(settings);
    let live = Live::new(role.journal(settings.log_format));
    journal::launcher(Level::Info, &format!("Started service: {} (PID {})", role.name(), std::process::id()));

    plan_faults(role, &settings, &live)?;
    tokio::spawn(leak::run(live.clone()));
    let ended = tokio::select! {
        result = control::serve(socket, role, live.clone()) => result,
        result = play(role, settings.clone(), live.clone()) => result,
        () = stopped(terminate, interrupt, &live) => Ok(()),
    };
    if role == Role::Scout && ended.is_ok() {
        scout::remove_pid_file(Path::new(&settings.scout_pid_file));
    }
    ended
}

async fn play(role: Role, settings: Arc<Settings>, live: Live) -> io::Result<()> {
    live.awake().await;
    let journal = role.journal(settings.log_format);
    match role {
        Role::Ui => ui::run(settings, live, journal).await,
        Role::Processor => processor::run(settings, live, journal).await,
        Role::Scout => scout::run(settings, live, journal).await,
        Role::Worker => worker::run(live, journal).await,
    }
}

fn plan_faults(role: Role, settings: &Settings, live: &Live) -> io::Result<()> {
    for planned in &settings.faults {
        if !role.suffers(planned.fault) {
            let message = format!("{:?} means nothing to the role {}", planned.fault, role.name());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        if planned.after.is_zero() {
            suffer(role, planned.fault, live);
        } else {
            let (planned, live) = (*planned, live.clone());
            tokio::spawn(async move {
                tokio::time::sleep(planned.after).await;
                suffer(role, planned.fault, &live);
            });
        }
    }
    Ok(())
}

fn suffer(role: Role, fault: crate::fault::Fault, live: &Live) {
    if let Outcome::Dies(code) = live.apply(fault) {
        Live::die(role.name(), code);
    }
}

/// Returns at the first signal that the process is not deaf to.
async fn stopped(mut terminate: Signal, mut interrupt: Signal, live: &Live) {
    loop {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if !live.now().deaf {
            return;
        }
    }
}
