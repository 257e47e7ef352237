/**
 * Close codes: what an endpoint says when it ends a connection.
 *
 * Names are those of IANA's registry of WebSocket close codes.
 *
 * @see RFC 6455 §7.4
 */

/** The purpose of the connection has been fulfilled. */
export const NormalClosure = 1000
/** A server is stopping, or a browser has navigated away. */
export const GoingAway = 1001
/** The peer broke the protocol. */
export const ProtocolError = 1002
/** A type of data was received that this endpoint cannot accept. */
export const UnsupportedData = 1003
/** Never on the wire: the close frame had no code. */
export const NoStatusReceived = 1005
/** Never on the wire: the connection ended without a close frame. */
export const AbnormalClosure = 1006
/** A message's content does not fit its type, as text that is not UTF-8. */
export const InvalidFramePayloadData = 1007
/** A message breaks a policy of this endpoint. */
export const PolicyViolation = 1008
/** A message is larger than this endpoint accepts. */
export const MessageTooBig = 1009
/** A client expected an extension that the server did not agree to. */
export const MandatoryExtension = 1010
/** An unexpected condition prevented fulfilling the request. */
export const InternalError = 1011
/** The service is restarting: reconnect later. */
export const ServiceRestart = 1012
/** The service is overloaded: reconnect later. */
export const TryAgainLater = 1013
/** A gateway got an invalid answer from the server behind it. */
export const BadGateway = 1014
/** Never on the wire: the TLS handshake failed. */
export const TlsHandshake = 1015

const names: ReadonlyMap<number, string> = new Map([
  [NormalClosure, "NormalClosure"],
  [GoingAway, "GoingAway"],
  [ProtocolError, "ProtocolError"],
  [UnsupportedData, "UnsupportedData"],
  [NoStatusReceived, "NoStatusReceived"],
  [AbnormalClosure, "AbnormalClosure"],
  [InvalidFramePayloadData, "InvalidFramePayloadData"],
  [PolicyViolation, "PolicyViolation"],
  [MessageTooBig, "MessageTooBig"],
  [MandatoryExtension, "MandatoryExtension"],
  [InternalError, "InternalError"],
  [ServiceRestart, "ServiceRestart"],
  [TryAgainLater, "TryAgainLater"],
  [BadGateway, "BadGateway"],
  [TlsHandshake, "TlsHandshake"]
])

/** The registered name of a code; for the others the range that they fall in. */
export const name = (code: number): string =>
  names.get(code) ??
  (code >= 3000 && code < 4000 ? "Registered" : code >= 4000 && code < 5000 ? "PrivateUse" : "Unassigned")

/**
 * Whether a code may stand in a close frame: 1000–1003, 1007–1014 and 3000–4999.
 *
 * The same set holds for what we send and for what we accept.
 *
 * @see RFC 6455 §7.4.1, §7.4.2
 */
export const isValid = (code: number): boolean =>
  Number.isInteger(code) &&
  ((code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999))
