import { replies, serveCounting } from "./counting.js"

/** What node:net alone costs: the bytes of the replies for the bytes of the requests, nothing parsed or unmasked. */
serveCounting(replies)
