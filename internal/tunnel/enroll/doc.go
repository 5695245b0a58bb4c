// Package enroll decides who may speak through the tunnel.
//
// A gateway holds an [Authority]: a certificate authority of its own, the join
// tokens it gave out, the connectors it issued certificates to, and which of
// those are revoked. A connector holds [Credentials]: a key that never leaves
// it, its certificate, and the one authority it trusts. A [Token] brings the
// two together once: it names the gateway's addresses, carries a secret for
// the gateway and, for the connector, the pin of the gateway's authority.
//
// The package opens no listener and keeps no session: packages gateway and
// connector do, with the TLS configurations made here.
//
// # Joining
//
//	gateway: Authority.NewToken ─ one line of text, by hand ─► connector: ParseToken, Join
//	connector ── TLS 1.3, ALPN http/1.1, the authority's key must fit the pin ──► gateway
//	POST /v1/join  {"version":1,"token":ID,"secret":…,"csr":DER}           ≤ 16 KiB
//	200            {"certificate":PEM}
//	4xx, 5xx       {"kind":…,"text":…,"hint":…}                            kinds of package fault
//
// Of the certificate request (RFC 2986) the gateway takes the public key and
// nothing else; location and connector id are its own words. A token works
// once. Should the answer be lost on its way, the same token with the same key
// gets the same certificate again until the token expires.
//
// One location has one connector. While that one's certificate is valid and
// not revoked, another is refused and its token stays good. A connector that
// was revoked, or whose certificate ran out, makes room by that.
//
// # Afterwards
//
// Both ends speak TLS 1.3 only, without resumption, so every connection is
// checked anew: the connector accepts its one authority, the gateway accepts
// certificates of its authority that are neither expired nor revoked. A
// certificate lives 90 days and is renewed, with a new key, from two thirds of
// that on ([Credentials.RenewAt], [Credentials.CSR], [Authority.Renew],
// [Credentials.Install]).
//
// # State
//
//	DIR/ca/ca.pem              the authority's key and certificate, 0600
//	DIR/tokens/ID.json         a token nobody used yet: hash of its secret, location, expiry
//	DIR/tokens/ID.used         the same after use; the rename is what makes a token work once
//	DIR/connectors/ID.json     the newest certificate of a connector
//	DIR/connectors/ID.revoked  it is revoked; nothing takes this back
//	DIR/connector.json         at a connector: key, certificate, authority, gateways, 0600
//	DIR/joining.json           at a connector: the key of a join that has no answer yet, 0600
//
// Every file appears whole or not at all. Tokens may be made and connectors
// revoked by another process than the running gateway, which heeds both at
// once; joins are answered by one process per folder. On Windows the folder's
// access list guards the keys, since file modes do not exist there.
package enroll
