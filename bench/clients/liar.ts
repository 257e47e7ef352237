import { type Frames, maskedReply } from "../frames.js"
import { type Lie, lastBitFlipped, makeAnswers, ownLie } from "../lies.js"
import { dialCounting } from "./counting.js"

/** A client that does one thing wrong, which `--self-test` must see. */

const wrongKey = (frames: Frames): Buffer => {
  const wrong = maskedReply(frames)
  const keyAt = wrong.length / frames.replyFrames - frames.content.length - 4
  wrong[keyAt] = (wrong[keyAt] ?? 0) ^ 1
  return wrong
}

const wrongly = (frames: Frames, lie: Lie): Buffer => {
  if (lie === "masking") return frames.reply
  return lie === "wrongKey" ? wrongKey(frames) : lastBitFlipped(maskedReply(frames))
}

const lie = ownLie()
dialCounting((frames) => makeAnswers(maskedReply(frames), wrongly(frames, lie), lie === "half"))
