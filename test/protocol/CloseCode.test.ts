import { describe, expect, it } from "vitest"
import * as CloseCode from "../../src/protocol/CloseCode.js"

describe("L4: CloseCode", () => {
  it.each([
    [CloseCode.NormalClosure, 1000, "NormalClosure"],
    [CloseCode.GoingAway, 1001, "GoingAway"],
    [CloseCode.ProtocolError, 1002, "ProtocolError"],
    [CloseCode.UnsupportedData, 1003, "UnsupportedData"],
    [CloseCode.NoStatusReceived, 1005, "NoStatusReceived"],
    [CloseCode.AbnormalClosure, 1006, "AbnormalClosure"],
    [CloseCode.InvalidFramePayloadData, 1007, "InvalidFramePayloadData"],
    [CloseCode.PolicyViolation, 1008, "PolicyViolation"],
    [CloseCode.MessageTooBig, 1009, "MessageTooBig"],
    [CloseCode.MandatoryExtension, 1010, "MandatoryExtension"],
    [CloseCode.InternalError, 1011, "InternalError"],
    [CloseCode.ServiceRestart, 1012, "ServiceRestart"],
    [CloseCode.TryAgainLater, 1013, "TryAgainLater"],
    [CloseCode.BadGateway, 1014, "BadGateway"],
    [CloseCode.TlsHandshake, 1015, "TlsHandshake"]
  ])("%i is %i, named %s", (constant, code, name) => {
    expect(constant).toBe(code)
    expect(CloseCode.name(code)).toBe(name)
  })

  it.each([
    [1004, "Unassigned"],
    [1016, "Unassigned"],
    [2999, "Unassigned"],
    [3000, "Registered"],
    [3999, "Registered"],
    [4000, "PrivateUse"],
    [4999, "PrivateUse"],
    [5000, "Unassigned"]
  ])("%i has the name of its range: %s", (code, name) => {
    expect(CloseCode.name(code)).toBe(name)
  })

  it.each([1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999])(
    "%d may stand in a close frame",
    (code) => {
      expect(CloseCode.isValid(code)).toBe(true)
    }
  )

  it.each([
    -1000,
    0,
    999,
    1004,
    1005,
    1006,
    1015,
    1016,
    1100,
    2000,
    2999,
    5000,
    65535,
    1000.5,
    Number.NaN,
    Number.POSITIVE_INFINITY
  ])("%d may not stand in a close frame", (code) => {
    expect(CloseCode.isValid(code)).toBe(false)
  })

  it("lets through 2,012 codes of all that two bytes can hold", () => {
    const valid = Array.from({ length: 0x10000 }, (_, code) => code).filter(CloseCode.isValid)
    expect(valid).toHaveLength(4 + 8 + 2000)
  })
})
