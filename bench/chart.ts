import type { ServerName } from "./peers.js"
import { figure, type Results, ratio } from "./results.js"
import { growths, workloadNamed } from "./workloads.js"

/**
 * Ratios against ws as an SVG: a bar for ours in each workload, marks for the others, on a logarithmic scale. To the
 * right of 1 is cheaper than ws. It is drawn in the colours of the page that shows it, light or dark.
 */

const marks = [
  ["raw", "bare Node"],
  ["uws", "uWebSockets.js"],
  ["ws-bufferutil", "ws + bufferutil"],
  ["effect-socket", "Effect platform"],
  ["python", "Python websockets"]
] as const satisfies ReadonlyArray<readonly [ServerName, string]>

const style = `
  text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .faint { fill: #59636e; font-size: 11px }
  .grid { stroke: #d1d9e0; stroke-width: 1 }
  .one { stroke: #59636e; stroke-width: 1.5 }
  .ours { fill: #0969da }
  .raw { fill: #8c959f } .uws { fill: #8250df } .ws-bufferutil { fill: #bc4c00 } .effect-socket { fill: #1a7f37 } .python { fill: #bf8700 }
  circle { stroke: #ffffff; stroke-width: 1 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .faint { fill: #9198a1 }
    .grid { stroke: #30363d }
    .one { stroke: #9198a1 }
    .ours { fill: #4493f8 }
    .raw { fill: #9198a1 } .uws { fill: #ab7df8 } .ws-bufferutil { fill: #f0883e } .effect-socket { fill: #3fb950 } .python { fill: #d29922 }
    circle { stroke: #0d1117 }
  }`

const width = 1000
const left = 440
const right = 70
const top = 56
const rowHeight = 24

const escaped = (text: string): string => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;")

const ticks = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500]

/** Places values between the ticks around the least and the most of them. */
const makeScale = (values: ReadonlyArray<number>) => {
  const least = Math.min(0.5, ...values)
  const most = Math.max(2, ...values)
  const from = ticks.filter((tick) => tick <= least).at(-1) ?? least
  const to = ticks.find((tick) => tick >= most) ?? most
  const x = (value: number): number => left + ((width - left - right) * Math.log(value / from)) / Math.log(to / from)
  return { x, ticks: ticks.filter((tick) => tick >= from && tick <= to) }
}

interface Row {
  readonly name: string
  readonly title: string
  readonly ours: number
  readonly others: ReadonlyArray<readonly [name: ServerName, value: number]>
}

const rowOf = (results: Results): ReadonlyArray<Row> => {
  const ours = ratio(results, "ours", "ws")?.median
  if (ours === undefined) return []
  const others = marks.flatMap(([name]) => {
    const value = ratio(results, name, "ws")?.median
    return value === undefined ? [] : [[name, value] as const]
  })
  return [{ name: results.workload, title: workloadNamed(results.workload).title, ours, others }]
}

const round = (value: number): string => value.toFixed(1)

const drawRow = ({ name, others, ours, title }: Row, y: number, x: (value: number) => number): string => {
  const middle = y + rowHeight / 2
  const [from, to] = [Math.min(x(1), x(ours)), Math.max(x(1), x(ours))]
  const circles = others.map(
    ([server, value]) =>
      `<circle class="${server}" cx="${round(x(value))}" cy="${middle}" r="4.5"><title>${server} ${figure(value)}</title></circle>`
  )
  return [
    `<text x="${left - 12}" y="${middle + 4}" text-anchor="end"><tspan class="faint">${escaped(name)}</tspan> ${escaped(title)}</text>`,
    `<rect class="ours" x="${round(from)}" y="${y + 5}" width="${round(Math.max(1, to - from))}" height="${rowHeight - 10}" rx="2"><title>ours ${figure(ours)}</title></rect>`,
    ...circles,
    `<text x="${width - 8}" y="${middle + 4}" text-anchor="end">${figure(ours)} ×</text>`
  ].join("\n")
}

const legend = (shown: ReadonlyArray<Row>): string => {
  const present = marks.filter(([name]) => shown.some(({ others }) => others.some(([other]) => other === name)))
  let at = 130
  const items = present.map(([name, label]) => {
    const item = `<circle class="${name}" cx="${at}" cy="12" r="4.5"/><text x="${at + 8}" y="16">${label}</text>`
    at += 36 + label.length * 6.5
    return item
  })
  return `<rect class="ours" x="12" y="6" width="18" height="12" rx="2"/><text x="36" y="16">this library</text>${items.join("")}`
}

/** What is the same at several sizes is for a table. */
const grown = growths.flatMap(({ names }) => names)

/** Empty where nothing was compared with ws. */
export const chart = (all: ReadonlyArray<Results>): string => {
  const rows = all.filter(({ workload }) => !grown.includes(workload)).flatMap(rowOf)
  if (rows.length === 0) return ""
  const { ticks, x } = makeScale(rows.flatMap(({ others, ours }) => [ours, ...others.map(([, value]) => value)]))
  const bottom = top + rows.length * rowHeight
  const grid = ticks.map(
    (tick) =>
      `<line class="${tick === 1 ? "one" : "grid"}" x1="${round(x(tick))}" y1="${top}" x2="${round(x(tick))}" y2="${bottom}"/>` +
      `<text class="faint" x="${round(x(tick))}" y="${top - 8}" text-anchor="middle">${tick} ×</text>`
  )
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${bottom + 8}" role="img" aria-label="Cost against ws, by workload">
<style>${style}
</style>
${legend(rows)}
${grid.join("\n")}
${rows.map((row, i) => drawRow(row, top + i * rowHeight, x)).join("\n")}
</svg>
`
}
