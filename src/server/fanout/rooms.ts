import { createDesk } from './desk.ts'
import { createShelf } from './recent.ts'
import { createRoom, type Room } from './room.ts'
import { createRounds } from './rounds.ts'

/** Who asks for the same meets in one room. */
export interface Rooms {
  /** Enters the room of this key. */
  enter(key: string): Entered
  /** In how many there is a group. */
  groups(): number
}

/** The room that somebody has entered. */
export interface Entered {
  readonly room: Room
  /** To be called once. */
  leave(): void
}

interface Open extends Entered {
  people: number
}

export function createRooms(): Rooms {
  const deps = { shelf: createShelf(), rounds: createRounds(), desk: createDesk() }
  const rooms = new Map<string, Open>()

  /** One for all who enter: thousands of them should not each keep a key. */
  function opened(key: string): Open {
    const open: Open = {
      room: createRoom(deps),
      people: 0,
      leave() {
        open.people -= 1
        if (open.people > 0) return
        rooms.delete(key)
        open.room.close()
      },
    }
    rooms.set(key, open)
    return open
  }

  return {
    enter(key) {
      const open = rooms.get(key) ?? opened(key)
      open.people += 1
      return open
    },
    groups: () => [...rooms.values()].filter(({ room }) => room.hasGroup()).length,
  }
}
