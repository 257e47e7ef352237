import { type Feature, type FeatureName, features } from "./features.js"
import { type Peer, peers } from "./peers.js"

/** The table of the README, from the same data as the tests: a tick is a test that has to pass. */

const isTried = (peer: Peer, feature: Feature): boolean => feature.roles?.includes(peer.role) !== false

/** Why a peer has no test for a feature, if it has none for a reason of its own. */
const reasonOf = ({ cannot }: Peer, { name }: Feature): string | undefined => cannot[name as FeatureName]

/** What is tested with a peer. */
export const featuresOf = (peer: Peer): ReadonlyArray<Feature> =>
  features.filter((feature) => isTried(peer, feature) && reasonOf(peer, feature) === undefined)

const columns = Object.values(peers).flat()

/** The reasons, numbered as they appear. */
const reasons = [
  ...new Set(
    features.flatMap((feature) => columns.map((peer) => (isTried(peer, feature) ? reasonOf(peer, feature) : undefined)))
  )
].filter((reason) => reason !== undefined)

const cell = (peer: Peer, feature: Feature): string => {
  if (!isTried(peer, feature)) return ""
  const reason = reasonOf(peer, feature)
  return reason === undefined ? "✓" : `–<sup>${reasons.indexOf(reason) + 1}</sup>`
}

const row = (cells: ReadonlyArray<string>): string => `| ${cells.join(" | ")} |`

/** Markdown. */
export const table: string = [
  row(["", ...columns.map(({ name, role }) => `${name} ${role}`)]),
  row(["---", ...columns.map(() => ":-:")]),
  ...features.map((feature) => row([feature.name, ...columns.map((peer) => cell(peer, feature))])),
  "",
  reasons.map((reason, i) => `<sup>${i + 1}</sup> ${reason}`).join(" · ")
].join("\n")
