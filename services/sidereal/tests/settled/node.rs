//! A server whose every answer a test decides.

use std::sync::Arc;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// The status and body to a request's path, with its query, and body.
type Answer = dyn Fn(&str, &[u8]) -> (u16, Vec<u8>) + Send + Sync;

/// An answer of JSON-RPC.
pub fn result(result: &serde_json::Value) -> (u16, Vec<u8>) {
    let answer = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "result": result });
    (200, answer.to_string().into_bytes())
}

/// Answers every request over HTTP until the test ends. Returns its URL.
pub async fn serve(
    answer: impl Fn(&str, &[u8]) -> (u16, Vec<u8>) + Send + Sync + 'static,
) -> anyhow::Result<String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let answer: Arc<Answer> = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            // What a client that goes away leaves unanswered is its own affair.
            tokio::spawn(async move { connection(stream, &*answer).await });
        }
    });
    Ok(url)
}

async fn connection(stream: TcpStream, answer: &Answer) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut line, mut path, mut length) = (String::new(), None, 0);
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if path.is_none() {
                path = line.split(' ').nth(1).map(str::to_owned);
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or_default();
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let (status, body) = answer(&path.unwrap_or_default(), &body);
        let head = format!(
            "HTTP/1.1 {status} \r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        // In one piece: a second one would wait for the first one's acknowledgement.
        stream.get_mut().write_all(&[head.as_bytes(), &body].concat()).await?;
    }
}
