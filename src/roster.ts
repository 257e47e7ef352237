/** Who can stand in a roster, in one at a time. */
export interface Member {
  /** Where it stands, -1 while it is in none; the roster's to write. */
  place: number
}

/**
 * Members that come and go, in no order. Each knows its place, so that nothing
 * is looked up; and what is left of a `Set` that has been renewed keeps alive
 * what comes later, for the collector to move: of short connections everything.
 */
export class Roster<A extends Member> {
  private readonly members: Array<A> = []

  get size(): number {
    return this.members.length
  }

  add(member: A): void {
    if (member.place >= 0) return
    member.place = this.members.length
    this.members.push(member)
  }

  /** Whether it was there. */
  remove(member: A): boolean {
    const { place } = member
    if (place < 0) return false
    const last = this.members.pop()!
    if (last !== member) {
      this.members[place] = last
      last.place = place
    }
    member.place = -1
    return true
  }

  /** Those who are there now, whoever comes or goes meanwhile. */
  get all(): ReadonlyArray<A> {
    return this.members.slice()
  }
}
