// An OAuth client in plain JavaScript: node's fetch and Web Crypto, no packages.
const [base, clientId, clientSecret, callback, personToken] = process.argv.slice(2);

const url64 = (bytes) => Buffer.from(bytes).toString("base64url");
const check = (holds, text) => {
  if (!holds) throw new Error(text);
};

const metadata = await (await fetch(`${base}/.well-known/oauth-authorization-server`)).json();
check(metadata.issuer === base, "issuer");

const post = async (address, form) => {
  const pair = `${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret)}`;
  const headers = { authorization: `Basic ${btoa(pair)}` };
  const answer = await fetch(address, { method: "POST", headers, body: new URLSearchParams(form) });
  return [answer.status, await answer.json()];
};

const verifier = url64(crypto.getRandomValues(new Uint8Array(32)));
const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier));
const state = url64(crypto.getRandomValues(new Uint8Array(16)));
const asked = {
  response_type: "code",
  client_id: clientId,
  redirect_uri: callback,
  scope: "read:costs",
  state,
  code_challenge: url64(digest),
  code_challenge_method: "S256",
};
const consent = await fetch(metadata.authorization_endpoint, {
  method: "POST",
  headers: { authorization: `Bearer ${personToken}`, "content-type": "application/json" },
  body: JSON.stringify(asked),
});
const back = new URL((await consent.json()).redirect_to);
check(back.searchParams.get("state") === state, "state");
check(back.searchParams.get("iss") === metadata.issuer, "iss");

const [status, first] = await post(metadata.token_endpoint, {
  grant_type: "authorization_code",
  code: back.searchParams.get("code"),
  redirect_uri: callback,
  code_verifier: verifier,
});
check(status === 200 && first.token_type === "Bearer", "code");

const [, second] = await post(metadata.token_endpoint, {
  grant_type: "refresh_token",
  refresh_token: first.refresh_token,
});
check(second.refresh_token !== first.refresh_token, "rotation");

const headers = { authorization: `Bearer ${second.access_token}` };
check((await fetch(`${base}/api/v1/costs`, { headers })).status === 200, "use");

const introspected = async () =>
  (await post(metadata.introspection_endpoint, { token: second.access_token }))[1];
check((await introspected()).active === true, "introspection");

const [own, credentials] = await post(metadata.token_endpoint, { grant_type: "client_credentials" });
check(own === 200 && credentials.refresh_token === undefined, "client credentials");

check((await post(metadata.revocation_endpoint, { token: second.refresh_token }))[0] === 200, "revoke");
check((await introspected()).active === false, "revoked");
console.log("done");
