/** Sequences of octets, each a text message of its own: well-formed, or not where marked with `!`. RFC 3629 §3, §4. */

export interface Sequences {
  /** The second number of the case. */
  readonly group: number
  readonly octets: ReadonlyArray<string>
}

/** The Greek word κόσμε, the testsuite's favourite. */
export const kosme = "cebae1bdb9cf83cebcceb5"

export const sequences: ReadonlyArray<Sequences> = [
  // Text with 1-4 octet characters.
  {
    group: 5,
    octets: [
      "68656c6c6f24776f726c64",
      "68656c6c6fc2a2776f726c64",
      "68656c6c6fe282ac776f726c64",
      "68656c6c6ff0a4ada2776f726c64",
      "cebae1bdb9cf83cebcceb5"
    ]
  },
  // Every prefix of the word.
  {
    group: 6,
    octets: [
      "!ce",
      "ceba",
      "!cebae1",
      "!cebae1bd",
      "cebae1bdb9",
      "!cebae1bdb9cf",
      "cebae1bdb9cf83",
      "!cebae1bdb9cf83ce",
      "cebae1bdb9cf83cebc",
      "!cebae1bdb9cf83cebcce",
      "cebae1bdb9cf83cebcceb5"
    ]
  },
  // First sequence of each length.
  { group: 7, octets: ["00", "c280", "e0a080", "f0908080"] },
  // First 5/6-octet forms.
  { group: 8, octets: ["!f888808080", "!fc8480808080"] },
  // Last sequence of each length.
  { group: 9, octets: ["7f", "dfbf", "efbfbf", "f48fbfbf"] },
  // Last 4/5/6-octet forms, out of range.
  { group: 10, octets: ["!f7bfbfbf", "!fbbfbfbfbf", "!fdbfbfbfbfbf"] },
  // Boundaries: U+D7FF, U+E000, U+FFFD, U+10FFFF valid; U+110000 not.
  { group: 11, octets: ["ed9fbf", "ee8080", "efbfbd", "f48fbfbf", "!f4908080"] },
  // Stray continuation octets.
  {
    group: 12,
    octets: [
      "!80",
      "!bf",
      "!80bf",
      "!80bf80",
      "!80bf80bf",
      "!80bf80bf80",
      "!80bf80bf80bf",
      "!808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbe"
    ]
  },
  // Lone lead octets, each followed by a space.
  {
    group: 13,
    octets: [
      "!c020c120c220c320c420c520c620c720c820c920ca20cb20cc20cd20ce20cf20d020d120d220d320d420d520d620d720d820d920da20db20dc20dd20de20",
      "!e020e120e220e320e420e520e620e720e820e920ea20eb20ec20ed20ee20",
      "!f020f120f220f320f420f520f620",
      "!f820f920fa20",
      "!fc20"
    ]
  },
  // Last continuation octet missing.
  {
    group: 14,
    octets: [
      "!c0",
      "!e080",
      "!f08080",
      "!f8808080",
      "!fc80808080",
      "!df",
      "!efbf",
      "!f7bfbf",
      "!fbbfbfbf",
      "!fdbfbfbfbf"
    ]
  },
  // All of 6.14 joined.
  { group: 15, octets: ["!c0e080f08080f8808080fc80808080dfefbff7bfbffbbfbfbffdbfbfbfbf"] },
  // Impossible octets.
  { group: 16, octets: ["!fe", "!ff", "!fefeffff"] },
  // Overlong "/".
  { group: 17, octets: ["!c0af", "!e080af", "!f08080af", "!f8808080af", "!fc80808080af"] },
  // Largest overlong forms.
  { group: 18, octets: ["!c1bf", "!e09fbf", "!f08fbfbf", "!f887bfbfbf", "!fc83bfbfbfbf"] },
  // Overlong NUL.
  { group: 19, octets: ["!c080", "!e08080", "!f0808080", "!f880808080", "!fc8080808080"] },
  // Single surrogates.
  { group: 20, octets: ["!eda080", "!edadbf", "!edae80", "!edafbf", "!edb080", "!edbe80", "!edbfbf"] },
  // Surrogate pairs.
  {
    group: 21,
    octets: [
      "!eda080edb080",
      "!eda080edbfbf",
      "!edadbfedb080",
      "!edadbfedbfbf",
      "!edae80edb080",
      "!edae80edbfbf",
      "!edafbfedb080",
      "!edafbfedbfbf"
    ]
  },
  // Non-characters.
  {
    group: 22,
    octets: [
      "efbfbe",
      "efbfbf",
      "f09fbfbe",
      "f09fbfbf",
      "f0afbfbe",
      "f0afbfbf",
      "f0bfbfbe",
      "f0bfbfbf",
      "f18fbfbe",
      "f18fbfbf",
      "f19fbfbe",
      "f19fbfbf",
      "f1afbfbe",
      "f1afbfbf",
      "f1bfbfbe",
      "f1bfbfbf",
      "f28fbfbe",
      "f28fbfbf",
      "f29fbfbe",
      "f29fbfbf",
      "f2afbfbe",
      "f2afbfbf",
      "f2bfbfbe",
      "f2bfbfbf",
      "f38fbfbe",
      "f38fbfbf",
      "f39fbfbe",
      "f39fbfbf",
      "f3afbfbe",
      "f3afbfbf",
      "f3bfbfbe",
      "f3bfbfbf",
      "f48fbfbe",
      "f48fbfbf"
    ]
  },
  // Specials U+FFF9..U+FFFF.
  { group: 23, octets: ["efbfb9", "efbfba", "efbfbb", "efbfbc", "efbfbd", "efbfbe", "efbfbf"] }
]
