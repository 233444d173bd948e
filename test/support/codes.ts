/** Errors of a family as texts that a table of expectations can have. */

/** @returns tells the code of the error of that family that an action throws or rejects with */
export function codesOf(family: abstract new (...args: never[]) => Error & { readonly code: string }): (action: () => unknown) => Promise<string> {
  return async action => {
    try {
      await action()
      return 'no error'
    } catch (error) {
      return error instanceof family ? error.code : `${(error as Error).name}: ${(error as Error).message}`
    }
  }
}
