export { assertGraceful, type GracefulOptions, type GracefulReport, type LoadContext } from './assert-graceful.js'
