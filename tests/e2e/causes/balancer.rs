//! A load balancer in front of several API servers: it gives each connection to the next one.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

/// Listens on a free port of this address, and returns it. The threads end with the test program.
pub fn start(address: &str, servers: Vec<String>) -> String {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let listens = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for (nth, near) in listener.incoming().flatten().enumerate() {
            if let Ok(far) = TcpStream::connect(&servers[nth % servers.len()]) {
                let (back, forth) = (far.try_clone().unwrap(), near.try_clone().unwrap());
                std::thread::spawn(move || pass(near, far));
                std::thread::spawn(move || pass(back, forth));
            }
        }
    });
    listens
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = [0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
