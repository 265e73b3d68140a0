//! One address for servers that are replaced: an instrument that is lost and comes back. A server that opened the port of
//! the one before it could find that port taken by another test.

use std::io::copy;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::spawn;

/// Forwards each connection to the present server, or closes it if there is none.
pub struct ChangingPeer {
    address: SocketAddr,
    server: Arc<Mutex<Option<SocketAddr>>>,
}

impl ChangingPeer {
    /// Listens on a free port of this host, in front of this server.
    pub fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = Arc::new(Mutex::new(Some(server)));
        let own = Arc::clone(&server);
        // It ends with the test program.
        spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let to = *own.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(server) = to.and_then(|to| TcpStream::connect(to).ok()) {
                    forward(&client, &server);
                }
            }
        });
        Self { address, server }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on connections go to this server; `None`: they are closed.
    pub fn change(&self, server: Option<SocketAddr>) {
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = server;
    }
}

/// Copies both directions, each on a thread, until one side closes. Then both are closed.
fn forward(client: &TcpStream, server: &TcpStream) {
    for (from, to) in [(client, server), (server, client)] {
        let _ = from.set_nodelay(true);
        let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        spawn(move || {
            let _ = copy(&mut from, &mut to);
            let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
        });
    }
}
