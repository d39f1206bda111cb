// Read Headwater's events with nothing but the broker's and the registry's addresses:
//
//   npm ci && node subscribe.mjs messages 127.0.0.1:19092 http://127.0.0.1:18081/apis/ccompat/v7 [--group NAME] [--count N]
//
// Prints one JSON object a line. Go by ce_id: a record may lie on the topic twice.
import { SchemaRegistry } from "@kafkajs/confluent-schema-registry";
import kafkajs from "kafkajs";
import { parseArgs } from "node:util";

const { Kafka, logLevel } = kafkajs;
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { group: { type: "string", default: "example-node" }, count: { type: "string", default: "0" } },
});
const [topic, broker, host] = positionals;
if (positionals.length !== 3) {
  console.error("usage: node subscribe.mjs TOPIC BROKER REGISTRY [--group NAME] [--count N]");
  process.exit(2);
}

const registry = new SchemaRegistry({ host });
const consumer = new Kafka({ brokers: [broker], logLevel: logLevel.ERROR }).consumer({ groupId: values.group });
await consumer.connect();
await consumer.subscribe({ topics: [topic], fromBeginning: true });

let left = Number(values.count) || Infinity;
await consumer.run({
  eachMessage: async ({ message }) => {
    if (left <= 0) return;
    const data = await registry.decode(message.value);
    const headers = Object.fromEntries(Object.entries(message.headers).map(([name, value]) => [name, String(value)]));
    console.log(JSON.stringify({ headers, data }));
    left -= 1;
    if (left <= 0) setImmediate(() => consumer.disconnect().then(() => process.exit(0)));
  },
});
