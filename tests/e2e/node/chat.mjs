// The official client, driven by lines of JSON on standard input; what happens is told as lines of JSON on standard output.
//
// In:  {"do": "connect", "id", "url", "namespace"?, "token", "position"?, "echo"?, "transports"?, "reconnection"?, "recovery"?}
//      {"do": "emit", "id", "event", "data", "ref"}       answered by {"what": "ack", "ref", "answer"}
//      {"do": "drop", "id"}                               the connection breaks, as networks do
//      {"do": "move", "id", "url"}                        the next connection goes there
//      {"do": "disconnect", "id"}, {"do": "reconnect", "id"}, {"do": "exit"}
// Out: {"what": "connected" | "refused" | "disconnected" | "event" | "ack" | "transport", "id", …}
//
// A client that comes back asks for what follows the last position it has seen, or leaves that to the library (`recovery`).
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const sockets = new Map();

function tell(what, id, more = {}) {
  process.stdout.write(JSON.stringify({ what, id, ...more }) + "\n");
}

function connect({ id, url, namespace = "/chat", token, position, echo, transports, reconnection = false, recovery }) {
  let last = position;
  const socket = io(url + namespace, {
    auth: (give) => give({ token, echo, ...(recovery ? { recovery } : last ? { position: last } : {}) }),
    forceNew: true,
    reconnection,
    reconnectionDelay: 50,
    ...(transports ? { transports } : {}),
  });
  socket.io.on("open", () => {
    const { engine } = socket.io;
    tell("transport", id, { transport: engine.transport.name });
    engine.on("upgrade", ({ name }) => tell("transport", id, { transport: name }));
  });
  socket.on("connect", () => tell("connected", id, { sid: socket.id, recovered: socket.recovered }));
  socket.on("connect_error", (error) => tell("refused", id, { message: error.message, data: error.data ?? null }));
  socket.on("disconnect", (reason) => tell("disconnected", id, { reason }));
  socket.onAny((name, ...args) => {
    last = args[0]?.position ?? last;
    tell("event", id, { name, args });
  });
  sockets.set(id, socket);
}

const commands = {
  connect,
  emit({ id, event, data, ref }) {
    sockets.get(id).timeout(10_000).emit(event, data, (error, answer) => {
      tell("ack", id, { ref, answer: error ? { error: String(error) } : answer });
    });
  },
  drop: ({ id }) => sockets.get(id).io.engine.close(),
  move: ({ id, url }) => (sockets.get(id).io.uri = url),
  disconnect: ({ id }) => sockets.get(id).disconnect(),
  reconnect: ({ id }) => sockets.get(id).connect(),
  exit() {
    for (const socket of sockets.values()) socket.disconnect();
    process.exit(0);
  },
};

const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const command = JSON.parse(line);
  commands[command.do](command);
});
lines.on("close", commands.exit);
