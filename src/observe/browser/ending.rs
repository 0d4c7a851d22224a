//! How a session is ended, whatever happens.

use std::pin::pin;
use std::time::Duration;

use fantoccini::Client;
use http_body_util::Empty;
use hyper::Uri;
use hyper::body::Bytes;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use tokio::runtime::Handle;
use tokio::time::timeout;
use url::{Host, Url};

/// The time for which a server is waited for, before its browser is told to close the page and after.
pub const CLOSING: Duration = Duration::from_secs(5);

/// The time for a browser to answer that it closes a page.
pub const RELEASE: Duration = Duration::from_secs(1);

/// A session. When it is dropped, a task ends it.
pub(super) struct Session {
    client: Option<Client>,
    release: Option<Uri>,
}

impl Session {
    /// Takes a session that has begun, of the server at `url`.
    pub async fn new(client: Client, url: &Url) -> Self {
        let mut session = Self { client: Some(client), release: None };
        session.release = session.release_at(url).await;
        session
    }

    /// Its client, until it is ended.
    pub fn client(&self) -> Option<&Client> {
        self.client.as_ref()
    }

    /// Ends it. The task that does goes on when this is dropped.
    pub async fn end(mut self) {
        if let Some(client) = self.client.take() {
            let _ = tokio::spawn(end(client, self.release.take())).await;
        }
    }

    /// Where a Chromium on this host closes the page. chromedriver names a window as Chromium does, by a number that no other page
    /// has: what listens at a port that is not what it seems closes nothing.
    async fn release_at(&self, url: &Url) -> Option<Uri> {
        let is_here = match url.host()? {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        let client = self.client.as_ref().filter(|_| is_here)?;
        let address = client.capabilities()?.get("goog:chromeOptions")?.get("debuggerAddress")?.as_str()?.to_owned();
        let window = String::from(client.window().await.ok()?);
        format!("http://{address}/json/close/{window}").parse().ok()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Without a runtime there is nobody who could.
        if let (Some(client), Ok(runtime)) = (self.client.take(), Handle::try_current()) {
            runtime.spawn(end(client, self.release.take()));
        }
    }
}

/// Ends a session: by the server, once it has answered the command that is under way. chromedriver does not while a click or a key
/// has led the page into an endless loop, or a page does not come: then the page is closed behind its back.
async fn end(client: Client, release: Option<Uri>) {
    let mut closing = pin!(client.close());
    if timeout(CLOSING, &mut closing).await.is_ok() {
        return;
    }
    let Some(release) = release else { return };
    let browser: legacy::Client<_, Empty<Bytes>> = legacy::Client::builder(TokioExecutor::new()).build_http();
    if timeout(RELEASE, browser.get(release)).await.is_ok_and(|answer| answer.is_ok()) {
        let _ = timeout(CLOSING, closing).await;
    }
}
