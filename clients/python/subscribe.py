"""Read Headwater's events with nothing but the broker's and the registry's addresses.

    pip install "confluent-kafka[avro,schemaregistry]"
    python subscribe.py messages 127.0.0.1:19092 http://127.0.0.1:18081/apis/ccompat/v7

Prints one JSON object a line. Give your own `--group`: its members share the partitions, and it goes on where it stopped.
"""

import argparse
import json

from confluent_kafka import Consumer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("topic")
parser.add_argument("broker")
parser.add_argument("registry")
parser.add_argument("--group", default="example")
parser.add_argument("--count", type=int, default=0, help="end after so many events; 0 goes on for ever")
options = parser.parse_args()

registry = SchemaRegistryClient({"url": options.registry, "timeout": 30})
# By itself the client asks for associations first, a route of Confluent's own registry which others do not have.
decode = AvroDeserializer(registry, conf={"subject.name.strategy.type": "TOPIC"})
settings = {"bootstrap.servers": options.broker, "group.id": options.group, "auto.offset.reset": "earliest"}
consumer = Consumer(settings)
consumer.subscribe([options.topic])

seen = 0
while not options.count or seen < options.count:
    message = consumer.poll(1.0)
    if message is None:
        continue
    if message.error():
        raise SystemExit(str(message.error()))
    event = decode(message.value(), SerializationContext(options.topic, MessageField.VALUE))
    headers = {name: value.decode() for name, value in message.headers() or []}
    # Go by ce_id: a record may lie on the topic twice.
    print(json.dumps({"headers": headers, "data": event}, default=str), flush=True)  # noqa: T201
    seen += 1
consumer.close()
