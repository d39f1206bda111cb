// Read an AsyncAPI document from standard input and print what the official parser finds wrong, as a JSON list.
import { AvroSchemaParser } from "@asyncapi/avro-schema-parser";
import { Parser } from "@asyncapi/parser";
import { readFileSync } from "node:fs";

const parser = new Parser();
parser.registerSchemaParser(AvroSchemaParser());
const { diagnostics } = await parser.parse(readFileSync(0, "utf8"));
const errors = diagnostics.filter((each) => each.severity === 0);
console.log(JSON.stringify(errors.map((each) => `${each.path.join("/")}: ${each.message}`)));
