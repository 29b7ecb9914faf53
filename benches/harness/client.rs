//! A client that costs little: requests are ready bytes, answers are read and counted.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

/// A connection that is kept.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

pub struct Answer<'a> {
    pub status: u16,
    pub body: &'a [u8],
}

impl Client {
    pub fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        Self { stream, buffer: Vec::new() }
    }

    /// Sends a request and reads its answer, which has a `content-length`.
    pub fn send(&mut self, request: &[u8]) -> Answer<'_> {
        self.stream.write_all(request).expect("a request");
        self.buffer.clear();
        let head = loop {
            if let Some(at) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at;
            }
            self.read();
        };
        let text = String::from_utf8_lossy(&self.buffer[..head]).to_ascii_lowercase();
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        let end = head + 4 + length.trim().parse::<usize>().expect("a length");
        while self.buffer.len() < end {
            self.read();
        }
        Answer { status, body: &self.buffer[head + 4..end] }
    }

    fn read(&mut self) {
        let mut bytes = [0; 16 * 1024];
        let read = self.stream.read(&mut bytes).expect("an answer");
        assert!(read > 0, "the connection was closed: {}", String::from_utf8_lossy(&self.buffer));
        self.buffer.extend_from_slice(&bytes[..read]);
    }
}

/// The bytes of a request to `/graphql`.
pub fn post(body: &str, token: Option<&str>) -> Vec<u8> {
    let authorization = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let length = body.len();
    format!(
        "POST /graphql HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\naccept: application/json\r\n\
         {authorization}content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Sends a request so many times over each of so many connections.
pub fn load(address: &str, request: &[u8], connections: u32, times: u32) {
    std::thread::scope(|scope| {
        for _ in 0..connections {
            scope.spawn(|| {
                let mut client = Client::connect(address);
                for _ in 0..times {
                    assert_eq!(client.send(request).status, 200);
                }
            });
        }
    });
}

/// Sends a request over so many connections for so long, and gives the answers of a second.
pub fn serve_for(address: &str, request: &[u8], connections: u32, time: Duration) -> f64 {
    let started = Instant::now();
    let answers: u32 = std::thread::scope(|scope| {
        let ask = || {
            let mut client = Client::connect(address);
            let mut answers = 0;
            while started.elapsed() < time {
                assert_eq!(client.send(request).status, 200);
                answers += 1;
            }
            answers
        };
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a client")).sum()
    });
    f64::from(answers) / started.elapsed().as_secs_f64()
}
