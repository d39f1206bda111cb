// The official client: node subscribe.mjs TOKEN URL... – tells each event as a line; each time it connects it takes the next URL.
import { createClient } from "graphql-ws";
import WebSocket from "ws";

const [token, ...urls] = process.argv.slice(2);
let position;
const client = createClient({
  url: () => (urls.length > 1 ? urls.shift() : urls[0]),
  webSocketImpl: WebSocket,
  connectionParams: () => ({ token, position }),
  retryAttempts: 20,
  on: { connected: () => console.log(JSON.stringify({ connected: true })) },
});
const query = "subscription { messageEvents { kind body position } }";
for await (const { data } of client.iterate({ query })) {
  position = data.messageEvents.position;
  console.log(JSON.stringify(data.messageEvents));
}
