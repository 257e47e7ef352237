import { cut, maskedReply } from "../frames.js"
import { dialCounting } from "./counting.js"

/** What node:net alone costs a client: bytes counted, and frames that were masked beforehand. */
dialCounting((frames, window) => cut(maskedReply(frames), window))
