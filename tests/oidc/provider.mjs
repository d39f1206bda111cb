// A certified OpenID provider on a port of its own. Redirect addresses are the arguments. Whoever is PUT to /accounts/NAME as
// claims may sign in as NAME, with any password; nobody is asked for consent. The first line is its issuer.
import { generateKeyPairSync, randomUUID } from "node:crypto";
import http from "node:http";
import { Provider } from "oidc-provider";

const accounts = new Map();
const server = http.createServer();

server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const provider = new Provider(issuer, {
    clients: [{ client_id: "headwater", client_secret: "only/for+tests", redirect_uris: process.argv.slice(2) }],
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
    cookies: { keys: [randomUUID()] },
    jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), kid: randomUUID(), use: "sig", alg: "RS256" }] },
    pkce: { required: () => true },
    findAccount: (_, id) =>
      accounts.has(id) ? { accountId: id, claims: () => ({ sub: id, ...accounts.get(id) }) } : undefined,
    async loadExistingGrant({ oidc }) {
      const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
      grant.addOIDCScope("openid email profile");
      await grant.save();
      return grant;
    },
  });
  const serve = provider.callback();
  server.on("request", async (request, response) => {
    const [, name] = request.url.match(/^\/accounts\/(.+)$/) ?? [];
    if (!name) return serve(request, response);
    let body = "";
    for await (const part of request) body += part;
    accounts.set(decodeURIComponent(name), JSON.parse(body));
    response.writeHead(204).end();
  });
  console.log(`issuer ${issuer}`);
});
