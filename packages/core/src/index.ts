export type { StepContext } from '@breakwater/kernel'
export type { BuiltInName, BuiltInSettings } from './built-in.js'
export {
  createDataAccess,
  type DataAccess,
  type DataAccessOptions,
  type DisposeOptions,
  type InitOptions,
} from './data-access.js'
export type { Component, HookContext } from './lifecycle/component.js'
export { type Failure, LifecycleError } from './lifecycle/failure.js'
export type { ComponentHealth, Health, HealthStatus } from './lifecycle/health.js'
export type { ComponentState } from './lifecycle/part.js'
export type { RedisClientOptions } from './redis-client.js'
export type { StepOutcome, StepPhase, TimelineStep } from './timeline/record.js'
export type { Timeline } from './timeline/recorder.js'
