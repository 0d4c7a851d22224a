//! A small site with what can be wrong with a page.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// Begins it and gives its port.
pub(super) async fn site() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    port
}

async fn answer(mut stream: TcpStream) {
    let mut request = [0; 4096];
    let length = stream.read(&mut request).await.unwrap_or_default();
    let request = String::from_utf8_lossy(&request[..length]).into_owned();
    let (status, body) = match request.split(' ').nth(1).unwrap_or_default() {
        "/good" => (200, "<title>Good page</title><h1>Hello</h1><p hidden>Ghost</p>".to_owned()),
        "/long" => (200, format!("<title>{}</title>", "long ".repeat(100))),
        "/console" => (200, "<script>console.error('boom'); undefinedName()</script>".to_owned()),
        "/missing" => (200, "<img src=/nothing>".to_owned()),
        "/503" => (503, "<title>Good page</title>".to_owned()),
        "/503-empty" => (503, String::new()),
        "/moved" => (302, String::new()),
        "/late.js" => {
            sleep(Duration::from_millis(700)).await;
            (200, String::new())
        }
        "/late" => (200, "<title>Good page</title><script src=/late.js async></script>".to_owned()),
        "/appears" => (200, "<p id=a hidden>now</p><script>setTimeout(() => a.hidden = false, 500)</script>".to_owned()),
        "/button" => (
            200,
            "<button id=go onclick=\"out.textContent='done'\">Go</button><p id=out>idle</p>\
            <button id=off style='display:none'>Off</button><button id=ask onclick=\"alert('sure?')\">Ask</button>\
            <a id=hang href=/silent>Hang</a><a id=next href=/good>Next</a>"
                .to_owned(),
        ),
        "/input" => {
            (200, "<input id=in oninput=\"out.textContent=this.value\"><p id=out></p><input id=ro disabled>".to_owned())
        }
        "/spin" => {
            (200, "<title>Spin</title><script>onload = () => setTimeout(() => { for (;;); }, 50)</script>".to_owned())
        }
        "/spin-on" => (200, "<button id=click onclick='for (;;);'>a</button><input id=type oninput='for (;;);'>".to_owned()),
        "/spin-now" => (200, "<script>for (;;);</script>".to_owned()),
        "/silent" => {
            sleep(Duration::from_secs(600)).await;
            return;
        }
        _ => (404, "nothing".to_owned()),
    };
    let head = format!("HTTP/1.1 {status} x\r\ncontent-type: text/html\r\nlocation: /good\r\nconnection: close\r\n");
    let _ = stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await;
}
