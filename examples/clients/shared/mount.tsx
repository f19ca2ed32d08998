import { type ReactNode, StrictMode } from 'react'
import { createRoot } from 'react-dom/client'

/** Puts a page into the document. In development everything in it is mounted twice, to show what that breaks. */
export function mount(page: ReactNode): void {
  const element = document.body.appendChild(document.createElement('main'))
  createRoot(element).render(<StrictMode>{page}</StrictMode>)
}
